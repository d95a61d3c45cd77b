package node

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/spec"
)

// TestAwait shows when a component that needs another gets going.
func TestAwait(t *testing.T) {
	for _, c := range []struct {
		phase Phase
		// err is a part of the error; empty where the component may start.
		err string
	}{
		{Ready, ""},
		{Stopped, "it is stopped; start it first"},
		{Exited, "it is exited; start it first"},
		{Waiting, "it is waiting: context canceled"},
		{Starting, "it is starting: context canceled"},
	} {
		t.Run(string(c.phase), func(t *testing.T) {
			s := newSupervisor([]spec.Process{{Name: "etcd"}}, nil, slog.New(slog.DiscardHandler))
			s.set(s.children[0], c.phase, "")
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			err := s.await(ctx, "etcd")
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func TestAwaitFollowsChanges(t *testing.T) {
	s := newSupervisor([]spec.Process{{Name: "etcd"}}, nil, slog.New(slog.DiscardHandler))
	done := make(chan error)
	go func() { done <- s.await(context.Background(), "etcd") }()
	for _, phase := range []Phase{Starting, Ready} {
		s.mu.Lock()
		s.set(s.children[0], phase, "")
		s.mu.Unlock()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	probe, err := newProber(authority)
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.await(context.Background(), server.URL); err != nil || asked.Load() != 3 {
		t.Errorf("a server that is ready the third time: %v after %d", err, asked.Load())
	}

	socket := filepath.Join(t.TempDir(), "s")
	if probe.once(context.Background(), "unix://"+socket) {
		t.Error("a socket that is not there counts as ready")
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if !probe.once(context.Background(), "unix://"+socket) {
		t.Error("a socket that takes connections counts as not ready")
	}

	ctx, cancel := context.WithTimeout(context.Background(), 3*probeEvery)
	defer cancel()
	if err := probe.await(ctx, "http://127.0.0.1:1/"); err == nil {
		t.Error("a server that is not there counts as ready")
	}
}

func TestProberWantsAnAuthority(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newProber(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestDescribe(t *testing.T) {
	for status, want := range map[unix.WaitStatus]string{
		unix.WaitStatus(3 << 8):       "exit status 3",
		unix.WaitStatus(unix.SIGKILL): "killed by signal killed",
	} {
		if got := describe(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}

// The control socket is where both halves meet, so both are tried at once.
func TestOrdersOverTheSocket(t *testing.T) {
	s := newSupervisor([]spec.Process{{Name: "kubelet", After: []string{"etcd"}}, {Name: "etcd"}}, nil, slog.New(slog.DiscardHandler))
	s.set(s.children[1], Stopped, "")
	server := httptest.NewServer(s.handler())
	defer server.Close()
	client := &Client{http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}}}
	statuses, err := client.Status(context.Background())
	if err != nil || len(statuses) != 2 || statuses[0].Name != "kubelet" || statuses[1].Phase != Stopped {
		t.Errorf("status: %+v, %v", statuses, err)
	}
	for _, c := range []struct{ order, component, err string }{
		{"stop", "etcd", ""},
		{"start", "kubelet", "kubelet needs etcd: it is stopped; start it first"},
		{"restart", "nginx", `no component is called "nginx"; see cluster status`},
		{"fry", "etcd", `no order is called "fry"`},
	} {
		err := client.Order(context.Background(), c.order, c.component)
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s %s: got %v, want %q", c.order, c.component, err, c.err)
		}
	}
}
