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
	// maxAtOnce is how often one probe is carried out at a time. The kubelet asks
	// once, and again where it has given up on an answer.
	maxAtOnce = 4
	// maxRedirects is the kubelet's.
	maxRedirects = 10
	// maxBody bounds what is read of an answer, in bytes.
	maxBody = 10 << 10
)

// errBusy is answered where a probe is asked for too often at a time.
var errBusy = errors.New("the probe is being carried out too often at a time")

// prober carries out the probes that the pod declares, by their paths, in the way
// of the kubelet. Nothing of what the caller sends reaches the application, and who
// does not know a path learns nothing.
type prober struct {
	probes map[string]declaredProbe
	app    *dialer
}

// declaredProbe is a probe of the pod. Each has slots of its own, so that one that is
// slow takes nothing from the others.
type declaredProbe struct {
	*sidecar.Probe
	timeout time.Duration
	slots   chan struct{}
}

func newProber(settings *sidecar.Settings, app *dialer) *prober {
	p := &prober{probes: make(map[string]declaredProbe, len(settings.Probes)), app: app}
	for name, probe := range settings.Probes {
		p.probes[settings.ProbePath(name)] = declaredProbe{Probe: &probe, timeout: timeoutOf(name, &probe), slots: make(chan struct{}, maxAtOnce)}
	}
	return p
}

// ServeHTTP answers 200 where the probe succeeds, 503 with the reason where it
// fails, and 404 without a word to everything else. A path is a secret; a map's
// look-up hashes it with the process's own seed, so its time tells nothing of it.
func (p *prober) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	probe, known := p.probes[r.URL.Path]
	if !known || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	// A hook may take longer than the server allows for answers.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(probe.timeout + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), probe.timeout)
	defer cancel()
	if err := p.carryOut(ctx, &probe); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func timeoutOf(name string, probe *sidecar.Probe) time.Duration {
	switch {
	case strings.HasSuffix(name, "/postStart"), strings.HasSuffix(name, "/preStop"):
		return hookTimeout
	case probe.TimeoutSeconds > 0:
		return time.Duration(probe.TimeoutSeconds) * time.Second
	}
	return time.Second
}

func (p *prober) carryOut(ctx context.Context, probe *declaredProbe) error {
	select {
	case probe.slots <- struct{}{}:
		defer func() { <-probe.slots }()
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
