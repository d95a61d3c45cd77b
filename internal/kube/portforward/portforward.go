// Package portforward connects to ports of pods' loopbacks by the API server, as
// kubectl port-forward does. It keeps one forwarding per pod and port, and starts it
// anew when it has ended. It knows nothing of meshes.
package portforward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // client-go takes and gives this one
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Forwards keeps one port forwarding per pod and port. It may be used by several
// goroutines.
type Forwards struct {
	config *rest.Config
	core   kubernetes.Interface

	mu   sync.Mutex
	open map[forwardKey]*forward
}

type forwardKey struct {
	namespace, pod string
	port           int
}

// forward is one under way: a local address that leads into a pod.
type forward struct {
	address string
	stop    chan struct{}
	ended   chan struct{}
}

// New returns Forwards to the pods of a cluster.
func New(config *rest.Config) (*Forwards, error) {
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Forwards{config: config, core: core, open: map[forwardKey]*forward{}}, nil
}

// Dial connects to a port of a pod's loopback.
func (f *Forwards) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	to, err := f.to(ctx, forwardKey{namespace, pod, port})
	if err != nil {
		return nil, fmt.Errorf("port %d of pod %s/%s: %w", port, namespace, pod, err)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", to.address)
}

// to returns the forwarding, which it starts where there is none that works.
func (f *Forwards) to(ctx context.Context, key forwardKey) (*forward, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if there := f.open[key]; there != nil {
		select {
		case <-there.ended:
		default:
			return there, nil
		}
	}
	started, err := f.start(ctx, key)
	if err != nil {
		return nil, err
	}
	f.open[key] = started
	return started, nil
}

func (f *Forwards) start(ctx context.Context, key forwardKey) (*forward, error) {
	dialer, err := f.dialer(key)
	if err != nil {
		return nil, err
	}
	started := &forward{stop: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan struct{})
	var said bytes.Buffer
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", key.port)}, started.stop, ready, io.Discard, &said)
	if err != nil {
		return nil, err
	}
	var failed error
	go func() {
		failed = forwarder.ForwardPorts()
		close(started.ended)
	}()
	select {
	case <-ready:
	case <-started.ended:
		return nil, errors.Join(failed, errors.New(strings.TrimSpace(said.String())))
	case <-ctx.Done():
		close(started.stop)
		return nil, context.Cause(ctx)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		close(started.stop)
		return nil, err
	}
	started.address = fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
	return started, nil
}

// dialer speaks WebSocket, and SPDY with API servers that know no other.
func (f *Forwards) dialer(key forwardKey) (httpstream.Dialer, error) {
	url := f.core.CoreV1().RESTClient().Post().Resource("pods").Namespace(key.namespace).Name(key.pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(url, f.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(tunnel, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Close ends all forwardings.
func (f *Forwards) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, open := range f.open {
		close(open.stop)
		<-open.ended
		delete(f.open, key)
	}
}
