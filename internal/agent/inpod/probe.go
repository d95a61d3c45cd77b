package inpod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

const (
	// hookTimeout bounds hooks, which have no timeout of their own: the kubelet
	// gives up before.
	hookTimeout = time.Hour
	// maxProbes is how many are carried out at a time.
	maxProbes = 32
	// maxRedirects is the kubelet's.
	maxRedirects = 10
	// maxBody bounds what is read of an answer, in bytes.
	maxBody = 10 << 10
)

// errBusy is answered where too much is asked at a time.
var errBusy = errors.New("too many probes at a time")

// prober carries out the probes that the pod declares, by their paths, in the way
// of the kubelet. Nothing of what the caller sends reaches the application.
type prober struct {
	probes map[string]sidecar.Probe
	app    *dialer
	slots  chan struct{}
}

func newProber(probes map[string]sidecar.Probe, app *dialer) *prober {
	return &prober{probes: probes, app: app, slots: make(chan struct{}, maxProbes)}
}

// ServeHTTP answers 200 where the probe succeeds and 503 with the reason where it
// fails.
func (p *prober) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	probe, ok := p.probes[r.URL.Path]
	switch {
	case !ok:
		http.Error(w, "the pod declares no such probe", http.StatusNotFound)
		return
	case r.Method != http.MethodGet:
		http.Error(w, "a probe is asked for by GET", http.StatusMethodNotAllowed)
		return
	}
	timeout := timeoutOf(r.URL.Path, &probe)
	// A hook may take longer than the server allows for answers.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := p.carryOut(ctx, &probe); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func timeoutOf(path string, probe *sidecar.Probe) time.Duration {
	switch {
	case strings.HasSuffix(path, "/postStart"), strings.HasSuffix(path, "/preStop"):
		return hookTimeout
	case probe.TimeoutSeconds > 0:
		return time.Duration(probe.TimeoutSeconds) * time.Second
	}
	return time.Second
}

func (p *prober) carryOut(ctx context.Context, probe *sidecar.Probe) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return errBusy
	}
	switch {
	case probe.HTTPGet != nil:
		return p.http(ctx, probe.HTTPGet)
	case probe.TCPSocket != nil:
		return p.tcp(ctx, probe.TCPSocket)
	case probe.GRPC != nil:
		return p.grpc(ctx, probe.GRPC)
	}
	return errors.New("the probe asks nothing")
}

func (p *prober) http(ctx context.Context, get *corev1.HTTPGetAction) error {
	request, err := newRequest(ctx, get, p.app)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: p.app.transport(), CheckRedirect: sameHost}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// An application that is cut off in the middle of its answer may complain.
	_, _ = io.CopyN(io.Discard, response.Body, maxBody)
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the application answered GET %s with %d", request.URL.Path, response.StatusCode)
	}
	return nil
}

// sameHost follows redirects within the application alone; one to elsewhere is an
// answer, and a good one, as for the kubelet.
func sameHost(next *http.Request, before []*http.Request) error {
	if next.URL.Hostname() != before[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

// newRequest makes the request that an action declares.
func newRequest(ctx context.Context, get *corev1.HTTPGetAction, app *dialer) (*http.Request, error) {
	target, err := url.Parse(get.Path)
	if err != nil {
		target = &url.URL{Path: get.Path} // Something that is no path is sent as it is.
	}
	target.Scheme = "http"
	if get.Scheme == corev1.URISchemeHTTPS {
		target.Scheme = "https"
	}
	target.Host = net.JoinHostPort(app.host(get.Host), strconv.Itoa(get.Port.IntValue()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "smi-probe")
	request.Header.Set("Accept", "*/*")
	declared := map[string]bool{}
	for _, header := range get.HTTPHeaders {
		name := http.CanonicalHeaderKey(header.Name)
		if name == "Host" {
			request.Host = header.Value
			continue
		}
		if !declared[name] {
			request.Header.Del(name)
			declared[name] = true
		}
		request.Header.Add(name, header.Value)
	}
	return request, nil
}

// transport makes a connection for each request, as the kubelet does.
func (d *dialer) transport() *http.Transport {
	return &http.Transport{
		DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		// The kubelet does not verify the certificate of who it probes either.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}
}

func (p *prober) tcp(ctx context.Context, socket *corev1.TCPSocketAction) error {
	connection, err := p.app.DialContext(ctx, "tcp", net.JoinHostPort(p.app.host(socket.Host), strconv.Itoa(socket.Port.IntValue())))
	if err != nil {
		return err
	}
	return connection.Close()
}

func (p *prober) grpc(ctx context.Context, action *corev1.GRPCAction) error {
	address := net.JoinHostPort(p.app.host(""), strconv.Itoa(int(action.Port)))
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithUserAgent("smi-probe"), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBody)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return p.app.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return err
	}
	defer connection.Close()
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	answer, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the application answered %s", answer.GetStatus())
	}
	return nil
}
