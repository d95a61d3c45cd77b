package sidecar_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestProtocolChanges declares a port in another way while a client keeps its
// connections, and so its sidecar those to the server: none of its requests fails.
func TestProtocolChanges(t *testing.T) {
	undeclared := strings.Replace(manifests, "ports: [{name: http, port: 80, targetPort: 8080}]", "ports: [{port: 80, targetPort: 8080}]", 1)
	w := startTown(t, options{manifests: manifests, ranges: ranges}, citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"})
	client := w.pods["web"].client(false)
	defer client.CloseIdleConnections()
	for _, step := range []struct{ name, manifests string }{
		{"HTTP", manifests}, {"undeclared", undeclared}, {"HTTP again", manifests}, {"undeclared again", undeclared},
	} {
		w.apply(step.manifests)
		w.awaitSidecars()
		for range 3 {
			check(t, []call{{step.name, ask(client, storeAddress+":80", "/read", "store"), "200 ledger"}})
		}
	}
}

// TestIdleConnectionsEndInTime withdraws something while a client's sidecar keeps
// idle connections. The server closes them after a time, with whatever has just
// been sent over them; the client's sidecar has closed them before.
func TestIdleConnectionsEndInTime(t *testing.T) {
	w := startTown(t, options{manifests: manifests, ranges: ranges}, citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"})
	web, ledger := w.pods["web"], w.pods["ledger"]
	var sent sync.WaitGroup
	for range 8 {
		sent.Go(func() { check(t, []call{{"granted", web.get(storeAddress+":80", "/read", "store"), "200 ledger"}}) })
	}
	sent.Wait()
	const connections = "listener.0.0.0.0_15006.downstream_cx_active"
	if ledger.stat(t, connections) == 0 {
		t.Fatal("the client's sidecar keeps no connection")
	}
	w.apply(strings.ReplaceAll(manifests, "pathRegex: /read", "pathRegex: /list"))
	w.awaitSidecars()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		draining := ledger.stat(t, "listener_manager.total_filter_chains_draining")
		open := ledger.stat(t, connections)
		if draining == 0 {
			t.Fatalf("the server has drained its filter chain before the client's sidecar closed its connections; %d are open", open)
		}
		if open == 0 {
			return
		}
	}
}

// TestMemberEnds announces the end of a pod that still serves. Who has called it by
// its address hears that on his own connection, and can choose another pod; who has
// called a Service has nothing to choose, and keeps his.
func TestMemberEnds(t *testing.T) {
	w := startTown(t, options{manifests: manifests, ranges: ranges}, citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"})
	ledger := w.pods["ledger"]
	for name, c := range map[string]struct {
		address string
		http2   bool
	}{
		"HTTP/1.1, declared":   {at(ledger.net.IPv4, portHTTP), false},
		"HTTP/1.1, undeclared": {at(ledger.net.IPv4, portHidden), false},
		"HTTP/2":               {at(ledger.net.IPv6, portGRPC), true},
		"a Service":            {storeAddress + ":80", false},
		"a Service, HTTP/2":    {grpcAddress + ":80", true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ledger.admin.Post(t.Context(), "/healthcheck/ok"); err != nil {
				t.Fatal(err)
			}
			client := w.pods["web"].client(c.http2)
			defer client.CloseIdleConnections()
			var opened atomic.Int64
			transport := client.Transport.(*http.Transport)
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				opened.Add(1)
				return dial(ctx, network, address)
			}
			serve := func(when string) {
				t.Helper()
				for range 3 {
					check(t, []call{{when, ask(client, c.address, "/read", "pod"), "200 ledger"}})
				}
			}
			serve("before")
			before := opened.Load()
			if err := ledger.admin.AnnounceEnd(t.Context()); err != nil {
				t.Fatal(err)
			}
			serve("while it ends")
			again, byAddress := opened.Load() > before, !strings.Contains(name, "Service")
			if before != 1 || again != byAddress {
				t.Errorf("%d connections were opened before, %d in all", before, opened.Load())
			}
		})
	}
}
