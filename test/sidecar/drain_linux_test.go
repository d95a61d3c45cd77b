package sidecar_test

import (
	"strings"
	"sync"
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
