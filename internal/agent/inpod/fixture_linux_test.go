package inpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

const domain = "cluster.local"

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		case <-ticker.C:
		}
	}
}

// control is a control plane; who a token belongs to it knows without asking.
type control struct {
	t       *testing.T
	ca      *identity.CA
	store   *store.Store
	address string

	mu sync.Mutex
	// refuse is answered to every request for a certificate; issued counts the others.
	refuse error
	issued int
}

func startControl(t *testing.T, ttl time.Duration) *control {
	t.Helper()
	ca, err := identity.NewCA(identity.Config{TrustDomain: domain, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	c := &control{t: t, ca: ca, store: store.New()}
	c.store.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "uid"},
		Spec:       corev1.PodSpec{ServiceAccountName: "web", InitContainers: []corev1.Container{{Name: sidecar.Container}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1"},
	})
	server := certify.New(certify.Config{
		Issuer: c, Reviewer: c, Logger: slog.New(slog.DiscardHandler),
		Pod: func(namespace, name string) (*corev1.Pod, bool) { return c.store.Snapshot().Pods.Get(namespace, name) },
	})
	outbound := freePort(t)
	plane := controlplane.New(controlplane.Config{
		Store: c.store, CA: ca, Compile: compile.Config{TrustDomain: domain}, Render: envoy.Options{TrustDomain: domain},
		Place: func(mesh.Name) (envoy.Placement, bool) {
			return envoy.Placement{SidecarAddress: "127.0.0.1", AppAddress: "127.0.0.2", OutboundPort: outbound}, true
		},
		Beside: func(r grpc.ServiceRegistrar) { server.Register(r) },
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// By a name, as on a cluster.
	c.address = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	plane.Push()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- plane.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Review implements certify.Reviewer.
func (c *control) Review(_ context.Context, token string) (certify.Caller, error) {
	if token != "good" {
		return certify.Caller{}, fmt.Errorf("%w: it is not good", certify.ErrToken)
	}
	return certify.Caller{Account: mesh.Account{Namespace: "shop", Name: "web"}, Pod: "web-0", UID: "uid"}, nil
}

// Issue implements certify.Issuer.
func (c *control) Issue(csr []byte, account mesh.Account, _ types.UID) ([]byte, []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return nil, nil, c.refuse
	}
	c.issued++
	chain, _, err := c.ca.Sign(csr, account)
	return chain, c.ca.Bundle().PEM(), err
}

func (c *control) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issued
}

func (c *control) setRefusal(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// running is an agent in a pod, which here is this machine.
type running struct {
	*Pod
	log                     *lockedBuffer
	metrics, health, probes string
	// stop stops it as the kubelet does, and returns how it ended.
	stop func() error
}

// start runs an agent with a real Envoy.
func (c *control) start(settings sidecar.Settings, change func(*Options)) *running {
	c.t.Helper()
	binary, err := tool.Envoy("")
	if err != nil {
		c.t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "smi-pod-") // The paths of sockets are short.
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &running{log: &lockedBuffer{}}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(c.t)) }
	r.metrics, r.health, r.probes = address(), address(), address()
	settings.Controller, settings.TrustDomain = c.address, domain
	level := new(slog.LevelVar)

	options := &Options{
		Settings: &settings, Pod: mesh.Name{Namespace: "shop", Name: "web-0"}, ServiceAccount: "web",
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Envoy: binary, Dir: filepath.Join(dir, "agent"),
		TokenPath: filepath.Join(dir, "token"), RootsPath: filepath.Join(dir, "roots.pem"),
		Metrics: r.metrics, Health: r.health, Probes: r.probes, RootsInterval: 50 * time.Millisecond,
		Level: level, Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level})),
	}
	for path, content := range map[string]string{options.TokenPath: "good\n", options.RootsPath: string(c.ca.Bundle().PEM())} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	if change != nil {
		change(options)
	}
	if r.Pod, err = New(options); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	c.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			c.t.Error(err)
		}
		if c.t.Failed() {
			c.t.Logf("the agent's log:\n%s", r.log)
		}
	})
	return r
}

// get returns status and body.
func get(url string, headers ...string) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// ready waits until the sidecar says that it is.
func (r *running) ready(t *testing.T) {
	t.Helper()
	eventually(t, "a ready sidecar", func() error {
		code, body, err := get("http://" + r.health + "/ready")
		if err == nil && code != http.StatusOK {
			err = errors.New(body)
		}
		return err
	})
}

// says waits until the sidecar says why it is not ready.
func (r *running) says(t *testing.T, want string) {
	t.Helper()
	eventually(t, "a sidecar that says why it is not ready", func() error {
		code, body, err := get("http://" + r.health + "/ready")
		if err == nil && (code != http.StatusServiceUnavailable || !strings.Contains(body, want)) {
			err = fmt.Errorf("%d %s; want 503 ... %s", code, body, want)
		}
		return err
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
