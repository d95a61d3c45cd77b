package sidecar_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// fickle is a Service outside the mesh, so that its clients' sidecars keep
// connections to it and nothing stands in between.
const fickle = `
---
apiVersion: v1
kind: Service
metadata: {name: fickle, namespace: shop}
spec:
  clusterIP: 10.78.0.7
  selector: {app: plain}
  ports: [{name: http, port: 80, targetPort: 8088}]
`

// fickleServer answers requests, and resets connections when it is asked to.
type fickleServer struct {
	mu sync.Mutex
	// seen counts requests by their paths.
	seen map[string]int
	open map[*net.TCPConn]bool
}

func (p *pod) serveFickle(t *testing.T) *fickleServer {
	s := &fickleServer{seen: map[string]int{}, open: map[*net.TCPConn]bool{}}
	listener := p.net.Listen(t, ":8088")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn.(*net.TCPConn))
		}
	}()
	return s
}

// serve answers every request but those below /reset/, which it resets the
// connection for, and resets it after those below /last/.
func (s *fickleServer) serve(conn *net.TCPConn) {
	s.mu.Lock()
	s.open[conn] = true
	s.mu.Unlock()
	defer s.reset(conn)
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		s.mu.Lock()
		s.seen[request.URL.Path]++
		s.mu.Unlock()
		if strings.HasPrefix(request.URL.Path, "/reset/") {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil || strings.HasPrefix(request.URL.Path, "/last/") {
			return
		}
	}
}

// reset ends a connection without ceremony.
func (s *fickleServer) reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

func (s *fickleServer) resetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
}

func (s *fickleServer) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[path]
}

// TestRetries resets connections that a client's sidecar keeps: while they are idle,
// as an answer, and right after one, when the next request may be on its way. That
// one may fail, as nobody knows whether it has arrived. No request reaches the
// application twice (PR-4).
func TestRetries(t *testing.T) {
	w := startTown(t, options{manifests: manifests + fickle, ranges: ranges},
		citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "plain", plain: true})
	server, client := w.pods["plain"].serveFickle(t), w.pods["web"].client(false)
	defer client.CloseIdleConnections()
	get := func(path string) answer { return ask(client, "10.78.0.7:80", path, "fickle") }
	check(t, []call{{"before", get("/before"), "200 ok"}})
	server.resetAll()
	check(t, []call{{"after a reset", get("/after"), "200 ok"}})
	for i := range 20 {
		path := fmt.Sprintf("/reset/%d", i)
		check(t, []call{{"reset for the request", get(path), "503"}})
		if n := server.count(path); n != 1 {
			t.Errorf("the request %s was seen %d times", path, n)
		}
	}
	for i := range 300 {
		path := fmt.Sprintf("/last/%d", i)
		got := get(path)
		if n := server.count(path); got.status == http.StatusOK && n != 1 || n > 1 {
			t.Errorf("the request %s was seen %d times, and answered with %s", path, n, got)
		}
	}
}
