//go:build linux

package local

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe tells whether a container can take traffic. It goes straight to the
// application, so it needs no TrafficTarget (AC-14).
type probe struct {
	check   func(context.Context) error
	delay   time.Duration
	period  time.Duration
	timeout time.Duration
	// failures and successes in a row change the answer.
	failures, successes int
}

// readiness is the container's readiness probe, nil where it has none.
func readiness(container *corev1.Container, app netip.Addr) (*probe, error) {
	written := container.ReadinessProbe
	if written == nil {
		return nil, nil
	}
	p := &probe{
		delay:    time.Duration(written.InitialDelaySeconds) * time.Second,
		period:   seconds(written.PeriodSeconds, 10),
		timeout:  seconds(written.TimeoutSeconds, 1),
		failures: 3, successes: int(max(written.SuccessThreshold, 1)),
	}
	if written.FailureThreshold > 0 {
		p.failures = int(written.FailureThreshold)
	}
	var err error
	switch {
	case written.HTTPGet != nil:
		p.check, err = httpCheck(container, written.HTTPGet, app)
	case written.TCPSocket != nil:
		p.check, err = tcpCheck(container, written.TCPSocket.Port, app)
	case written.GRPC != nil:
		// That the port is open must do: a server without the health service would
		// otherwise never be ready.
		p.check, err = tcpCheck(container, intstr.FromInt32(written.GRPC.Port), app)
	default:
		return nil, fmt.Errorf("container %s: the readiness probe is neither httpGet, tcpSocket nor grpc, and the standalone runtime has no image to run another one in: write one of these", container.Name)
	}
	return p, err
}

func seconds(written int32, standard int) time.Duration {
	if written <= 0 {
		return time.Duration(standard) * time.Second
	}
	return time.Duration(written) * time.Second
}

func httpCheck(container *corev1.Container, get *corev1.HTTPGetAction, app netip.Addr) (func(context.Context) error, error) {
	port, err := probePort(container, get.Port)
	if err != nil {
		return nil, err
	}
	scheme := strings.ToLower(string(get.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s/%s", scheme, netip.AddrPortFrom(app, port), strings.TrimPrefix(get.Path, "/"))
	client := &http.Client{
		// A kubelet does not verify the certificate of a probed pod either.
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // see above
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		for _, h := range get.HTTPHeaders {
			req.Header.Add(h.Name, h.Value)
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode < 200 || res.StatusCode >= 400 {
			return fmt.Errorf("GET %s answered %d", url, res.StatusCode)
		}
		return nil
	}, nil
}

func tcpCheck(container *corev1.Container, written intstr.IntOrString, app netip.Addr) (func(context.Context) error, error) {
	port, err := probePort(container, written)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(app, port).String())
		if err != nil {
			return err
		}
		return conn.Close()
	}, nil
}

func probePort(container *corev1.Container, written intstr.IntOrString) (uint16, error) {
	if written.Type == intstr.String {
		for _, p := range container.Ports {
			if p.Name == written.StrVal {
				return uint16(p.ContainerPort), nil
			}
		}
		return 0, fmt.Errorf("container %s: the readiness probe names port %q, which it does not have", container.Name, written.StrVal)
	}
	if written.IntVal < 1 || written.IntVal > 65535 {
		return 0, fmt.Errorf("container %s: the readiness probe's port %d is none", container.Name, written.IntVal)
	}
	return uint16(written.IntVal), nil
}

// fastPeriod is how often a probe is tried while the answer is no, so that a pod
// is ready soon after its application is.
const fastPeriod = 100 * time.Millisecond

// run reports each change of the answer until the context ends, and while the
// answer is no also each new reason. The answer begins as no.
func (p *probe) run(ctx context.Context, report func(ready bool, why error)) {
	ready, failed, succeeded, last := false, 0, 0, ""
	wait := p.delay
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		attempt, cancel := context.WithTimeout(ctx, p.timeout)
		err := p.check(attempt)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failed, succeeded = 0, succeeded+1
		} else {
			failed, succeeded = failed+1, 0
		}
		switch {
		case !ready && err == nil && succeeded >= p.successes:
			ready, last = true, ""
			report(true, nil)
		case err != nil && (ready && failed >= p.failures || !ready && err.Error() != last):
			ready, last = false, err.Error()
			report(false, err)
		}
		wait = p.period
		if !ready {
			wait = min(p.period, fastPeriod)
		}
	}
}
