package sidecar_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/netlab"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/tool"
)

// TestChanges makes pods and Services come and go. Nobody whom that does not
// concern loses a connection, on no supported Envoy.
func TestChanges(t *testing.T) {
	for _, release := range tool.EnvoyReleases() {
		t.Run(release, func(t *testing.T) {
			binary, err := tool.EnvoyVersion(release)
			if err != nil {
				t.Fatal(err)
			}
			w := startTown(t, options{manifests: manifests, binary: binary},
				citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "canary"}, citizen{namespace: "shop", name: "web"})
			w.testChanges(t)
		})
	}
}

func (w *town) testChanges(t *testing.T) {
	web, ledger := w.pods["web"], w.pods["ledger"].net
	open := map[string]net.Conn{}
	for _, address := range []string{at(netlab.OutsideIPv4, portTCP), at(ledger.IPv4, portTCP), at(ledger.IPv6, portUndeclared), dbAddress + ":5432"} {
		open[address] = web.connect(t, address)
	}
	steps := []struct {
		name   string
		change func()
	}{
		{"a pod that web may not call", func() { w.apply(manifests, anotherPod("idle", "10.77.0.100", true)) }},
		{"a pod that web may call", func() { w.apply(manifests, anotherPod("ledger", "10.77.0.101", true)) }},
		{"a pod outside the mesh", func() { w.apply(manifests, anotherPod("legacy", "10.77.0.102", false)) }},
		{"no such pod any more", func() { w.apply(manifests) }},
		{"a Service", func() { w.apply(manifests + anotherService("another", "10.78.0.30")) }},
		{"another Service at its address", func() { w.apply(manifests + anotherService("new", "10.78.0.30")) }},
	}
	for _, step := range steps {
		step.change()
		w.awaitSidecars()
		for _, stat := range []string{"total_filter_chains_draining", "total_listeners_draining"} {
			if n := web.stat(t, "listener_manager."+stat); n != 0 && !strings.Contains(step.name, "address") {
				t.Errorf("%s: %s is %d", step.name, stat, n)
			}
		}
		for address, conn := range open {
			if err := echo(conn); err != nil {
				t.Errorf("%s: the connection to %s: %v", step.name, address, err)
			}
		}
	}
	check(t, []call{
		{"the new Service at the old address", web.get("10.78.0.30:80", "/read", "new"), "200 ledger"},
		{"a Service as ever", web.get(storeAddress+":80", "/read", "store"), "200 ledger"},
	})
	moved := strings.ReplaceAll(manifests, storeAddress+"\n", "10.78.0.31\n")
	w.apply(strings.ReplaceAll(moved, storeAddress+",", "10.78.0.31,"))
	w.awaitSidecars()
	check(t, []call{
		{"a Service that has moved", web.get("10.78.0.31:80", "/read", "store"), "200 ledger"},
		{"a Service that has moved, IPv6", web.get("["+storeAddress6+"]:80", "/read", "store"), "200 ledger"},
	})
	for address, conn := range open {
		if err := echo(conn); err != nil {
			t.Errorf("in the end, the connection to %s: %v", address, err)
		}
	}
}

// TestNamedPort withdraws the grant of a port that nothing else names: it holds no
// more for the next request on a connection that is open.
func TestNamedPort(t *testing.T) {
	const named = `
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: hidden, namespace: shop}
spec:
  matches: {ports: [9999]}
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: hidden, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: ledger}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: HTTPRouteGroup, name: routes}, {kind: TCPRoute, name: hidden}]
`
	before, _, _ := strings.Cut(manifests, "---\napiVersion: access")
	w := startTown(t, options{manifests: before + connectOnly}, citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"})
	web, ledger := w.pods["web"], w.pods["ledger"].net
	client := web.client(false)
	defer client.CloseIdleConnections()
	get := func() answer { return ask(client, at(ledger.IPv4, portHidden), "/read", "pod") }
	connection := web.connect(t, at(ledger.IPv4, portTCP))
	w.apply(before + connectOnly + named)
	w.awaitSidecars()
	check(t, []call{{"granted", get(), "200 ledger"}})
	w.apply(before + connectOnly)
	w.awaitSidecars()
	check(t, []call{{"withdrawn", get(), "403 smi: no TrafficTarget allows spiffe://cluster.local/ns/shop/sa/web to GET /read here"}, {"withdrawn, again", get(), "403"}})
	if err := echo(connection); err != nil {
		t.Errorf("a connection that all this does not concern: %v", err)
	}
}

// TestGrantsComeAndGo shows clients that keep their connections.
func TestGrantsComeAndGo(t *testing.T) {
	services, _, _ := strings.Cut(manifests, "---\napiVersion: specs")
	w := startTown(t, options{manifests: services, ranges: ranges}, citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"})
	web, ledger := w.pods["web"], w.pods["ledger"].net
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			client := web.client(http2)
			defer client.CloseIdleConnections()
			service := func() answer { return ask(client, storeAddress+":80", "/read", "store") }
			pod := func() answer { return ask(client, at(ledger.IPv4, portHTTP), "/read", "pod") }
			check(t, []call{{"the Service, before", service(), "403"}, {"the pod, before", pod(), "403"}})
			w.apply(manifests)
			w.awaitSidecars()
			check(t, []call{{"the Service, granted", service(), "200 ledger"}, {"the pod, granted", pod(), "200 ledger"}})
			w.apply(services)
			w.awaitSidecars()
			for range 2 {
				check(t, []call{{"the Service, withdrawn", service(), "403"}, {"the pod, withdrawn", pod(), "403"}})
			}
		})
	}
}

// connectOnly grants the ledger's port for TCP alone.
const connectOnly = `
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: connect, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: ledger}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: TCPRoute, name: tcp}]
`

// connect opens a connection for the rest of the test, and hears the greeting.
func (p *pod) connect(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := p.net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return conn
}

// echo sees that a connection still carries bytes both ways.
func echo(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("ping\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "ping\n" {
		err = fmt.Errorf("got %q", line)
	}
	return err
}

func (p *pod) stat(t *testing.T, name string) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	value, err := p.admin.Stat(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// anotherPod is one that Kubernetes knows, and that nobody is asked to run.
func anotherPod(account, address string, meshed bool) *corev1.Pod {
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "another"},
		Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "app"}}},
		Status:     corev1.PodStatus{PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}},
	}
	if meshed {
		o.Spec.InitContainers = []corev1.Container{{Name: sidecar.Container}}
	}
	return o
}

// anotherService is one in front of the ledger.
func anotherService(name, address string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop}
spec:
  clusterIP: %s
  selector: {app: ledger}
  ports: [{name: http, port: 80, targetPort: 8080}]
`, name, address)
}

// TestWithdrawnConnections is AC-17 on a cluster: connections that nothing but a
// withdrawn grant carried are closed within 30 s, and no others.
func TestWithdrawnConnections(t *testing.T) {
	const others = `
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: others, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: ledger}
  sources: [{kind: ServiceAccount, name: cart}]
  rules: [{kind: TCPRoute, name: tcp}]
`
	routes, _, _ := strings.Cut(manifests, "---\napiVersion: access")
	w := startTown(t, options{manifests: routes + connectOnly + others, ranges: ranges},
		citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "cart"})
	addresses := []string{dbAddress + ":5432", at(w.pods["ledger"].net.IPv4, portTCP), at(w.pods["ledger"].net.IPv6, portUndeclared)}
	withdrawn, kept := map[string]net.Conn{}, map[string]net.Conn{}
	for _, address := range addresses {
		withdrawn[address], kept[address] = w.pods["web"].connect(t, address), w.pods["cart"].connect(t, address)
	}
	w.apply(routes + others)
	w.awaitSidecars()
	deadline := time.Now().Add(30 * time.Second)
	for address, conn := range withdrawn {
		_ = conn.SetDeadline(deadline)
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection to %s is not closed: %v", address, err)
		}
	}
	for address, conn := range kept {
		if err := echo(conn); err != nil {
			t.Errorf("the connection of another to %s: %v", address, err)
		}
	}
}
