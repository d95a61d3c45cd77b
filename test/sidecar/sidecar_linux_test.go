package sidecar_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/smi-project/smi/internal/netlab"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/sidecar"
)

// Addresses of Services. No pod has them, and nothing but sidecars knows them.
const (
	storeAddress  = "10.78.0.1"
	storeAddress6 = "fd00:78::1"
	dbAddress     = "10.78.0.2"
	miscAddress   = "10.78.0.3"
	grpcAddress   = "10.78.0.4"
	vaultAddress  = "10.78.0.5"
	plainAddress  = "10.78.0.6"
)

var ranges = []netip.Prefix{
	netlab.RangeIPv4, netlab.RangeIPv6, netip.MustParsePrefix("10.78.0.0/24"), netip.MustParsePrefix("fd00:78::/64"),
}

const manifests = `
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec:
  clusterIP: 10.78.0.1
  clusterIPs: [10.78.0.1, "fd00:78::1"]
  selector: {app: ledger}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: v2, namespace: shop}
spec:
  clusterIP: 10.78.0.11
  selector: {app: canary}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: 10.78.0.2
  selector: {app: ledger}
  ports: [{port: 5432}]
---
apiVersion: v1
kind: Service
metadata: {name: misc, namespace: shop}
spec:
  clusterIP: 10.78.0.3
  selector: {app: ledger}
  ports: [{port: 7000}]
---
apiVersion: v1
kind: Service
metadata: {name: rpc, namespace: shop}
spec:
  clusterIP: 10.78.0.4
  selector: {app: ledger}
  ports: [{name: grpc, port: 80, targetPort: 9090}]
---
# Nobody is granted anything at the vault.
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: shop}
spec:
  clusterIP: 10.78.0.5
  selector: {app: vault}
  ports: [{name: http, port: 80, targetPort: 8080}, {port: 5432}]
---
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec:
  clusterIP: 10.78.0.6
  selector: {app: plain}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: shop}
spec:
  matches: [{name: read, pathRegex: /read}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: tcp, namespace: shop}
spec:
  matches: {ports: [5432, 7000]}
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: read, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: ledger}
  sources: [{kind: ServiceAccount, name: web}, {kind: ServiceAccount, name: ledger}]
  rules: [{kind: HTTPRouteGroup, name: routes}]
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: connect, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: ledger}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: TCPRoute, name: tcp}]
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: canary, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: canary}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: HTTPRouteGroup, name: routes}]
`

const split = `
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: store, namespace: shop}
spec:
  service: store
  backends: [{service: v2, weight: 1}]
`

// shop is a town in which the web shop may call the ledger and the canary, the
// ledger itself, and the cart nobody.
func shop(t *testing.T, o options) *town {
	t.Helper()
	return startTown(t, o,
		citizen{namespace: "shop", name: "ledger", redirection: sidecar.Redirection{DropUDP: true}},
		citizen{namespace: "shop", name: "canary"}, citizen{namespace: "shop", name: "vault"},
		citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "cart"}, citizen{namespace: "shop", name: "plain", plain: true},
	)
}

func TestStrict(t *testing.T) {
	w := shop(t, options{manifests: manifests, ranges: ranges})
	t.Run("services", w.testServices)
	t.Run("the own pod", w.testOwnPod)
	t.Run("pods", w.testPods)
	t.Run("plain clients", w.testPlainClients)
	t.Run("UDP", w.testUDP)
	t.Run("split", w.testSplit)
	t.Run("withdrawn", w.testWithdrawn)
}

// call is one that an application makes, and what must come of it.
type call struct {
	name string
	got  answer
	// want is how the answer begins, "closed" where there must be none.
	want string
}

func check(t *testing.T, calls []call) {
	t.Helper()
	for _, c := range calls {
		got := c.got.String()
		if closed(c.got) {
			got = "closed"
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

// closed tells that a connection was closed, or refused, before anything came.
func closed(a answer) bool {
	var slow net.Error
	return a.err != nil && a.body == "" && (!errors.As(a.err, &slow) || !slow.Timeout())
}

func (w *town) testServices(t *testing.T) {
	web, cart := w.pods["web"], w.pods["cart"]
	check(t, []call{
		{"granted", web.get(storeAddress+":80", "/read", "anything.example"), "200 ledger HTTP/1.1 GET /read on 8080, xfcc=URI=spiffe://cluster.local/ns/shop/sa/web"},
		{"granted, IPv6", web.get("["+storeAddress6+"]:80", "/read", "store"), "200 ledger"},
		{"another path", web.get(storeAddress+":80", "/write", "store"), "403 smi: no TrafficTarget allows spiffe://cluster.local/ns/shop/sa/web to GET /write here"},
		{"no grant at all", cart.get(storeAddress+":80", "/read", "store"), "403 smi: no TrafficTarget allows spiffe://cluster.local/ns/shop/sa/cart to call store"},
		{"gRPC", web.getHTTP2(grpcAddress+":80", "/read", "rpc"), "200 ledger HTTP/2.0 GET /read on 9090"},
		{"gRPC, another path", web.getHTTP2(grpcAddress+":80", "/write", "rpc"), "403"},
		{"server speaks first", web.talk(dbAddress + ":5432"), "0 hello from ledger\nping"},
		{"server speaks first, undeclared", web.talk(miscAddress + ":7000"), "0 hello from ledger\nping"},
		{"a Service that nobody may call", web.get(vaultAddress+":80", "/read", "vault"), "403"},
		{"a port that no Service has", web.get(storeAddress+":81", "/read", "store"), "403"},
		{"a Service of pods outside the mesh", web.get(plainAddress+":80", "/read", "legacy"), "200 plain"},
		{"outside", web.get(at(netlab.OutsideIPv4, portHTTP), "/any", "outside"), "200 outside HTTP/1.1 GET /any on 8080, xfcc="},
		{"outside, IPv6", web.get(at(netlab.OutsideIPv6, portHTTP), "/any", "outside"), "200 outside"},
		{"outside, server speaks first", web.talk(at(netlab.OutsideIPv4, portTCP)), "0 hello from outside\nping"},
	})
	before := w.greetings("ledger", "vault")
	check(t, []call{
		{"a connection without a grant", cart.talk(dbAddress + ":5432"), "closed"},
		{"a connection without a grant, undeclared", cart.talk(miscAddress + ":7000"), "closed"},
		{"a connection to a Service that nobody may call", web.talk(vaultAddress + ":5432"), "closed"},
	})
	if after := w.greetings("ledger", "vault"); after != before {
		t.Errorf("%d denied connections reached an application", after-before)
	}
}

// testOwnPod has a pod call the Service that leads to itself. It is judged there
// as anybody.
func (w *town) testOwnPod(t *testing.T) {
	ledger, vault := w.pods["ledger"], w.pods["vault"]
	check(t, []call{
		{"by a Service", ledger.get(storeAddress+":80", "/read", "store"), "200 ledger HTTP/1.1 GET /read on 8080, xfcc=URI=spiffe://cluster.local/ns/shop/sa/ledger"},
		{"by a Service, another path", ledger.get(storeAddress+":80", "/write", "store"), "403"},
		{"by a Service, IPv6", ledger.get("["+storeAddress6+"]:80", "/read", "store"), "200 ledger"},
		{"by a Service without a grant", vault.get(vaultAddress+":80", "/read", "vault"), "403"},
		{"by its address, it talks to itself", vault.get(at(vault.net.IPv4, portHTTP), "/any", "me"), "200 vault HTTP/1.1 GET /any on 8080, xfcc="},
	})
}

// testPods calls pods by their addresses, as clients of headless Services do.
func (w *town) testPods(t *testing.T) {
	web, cart, ledger, vault, plain := w.pods["web"], w.pods["cart"], w.pods["ledger"].net, w.pods["vault"].net, w.pods["plain"].net
	check(t, []call{
		{"granted", web.get(at(ledger.IPv4, portHTTP), "/read", "pod"), "200 ledger HTTP/1.1 GET /read on 8080, xfcc=URI=spiffe://cluster.local/ns/shop/sa/web"},
		{"granted, IPv6", web.get(at(ledger.IPv6, portHTTP), "/read", "pod"), "200 ledger"},
		{"another path", web.get(at(ledger.IPv4, portHTTP), "/write", "pod"), "403"},
		{"gRPC", web.getHTTP2(at(ledger.IPv4, portGRPC), "/read", "pod"), "200 ledger HTTP/2.0"},
		{"a port that nothing declares", web.get(at(ledger.IPv4, portHidden), "/read", "pod"), "200 ledger HTTP/1.1 GET /read on 9999"},
		{"a port that nothing declares, another path", web.get(at(ledger.IPv4, portHidden), "/write", "pod"), "403"},
		{"server speaks first", web.talk(at(ledger.IPv4, portTCP)), "0 hello from ledger\nping"},
		{"server speaks first, undeclared, IPv6", web.talk(at(ledger.IPv6, portUndeclared)), "0 hello from ledger\nping"},
		{"no grant", cart.get(at(ledger.IPv4, portHTTP), "/read", "pod"), "403 smi: no TrafficTarget allows spiffe://cluster.local/ns/shop/sa/cart to call pod"},
		{"no grant, IPv6", cart.get(at(ledger.IPv6, portHTTP), "/read", "pod"), "403"},
		{"nobody may call it", web.get(at(vault.IPv4, portHTTP), "/read", "pod"), "403"},
		{"an address that nobody has", web.get("10.77.0.200:80", "/read", "nobody"), "403"},
		{"a pod outside the mesh", web.get(at(plain.IPv4, portHTTP), "/read", "plain"), "200 plain HTTP/1.1 GET /read on 8080, xfcc="},
		{"a pod outside the mesh, server speaks first", web.talk(at(plain.IPv6, portTCP)), "0 hello from plain\nping"},
	})
	before := w.greetings("ledger", "vault")
	check(t, []call{
		{"a connection without a grant", cart.talk(at(ledger.IPv4, portTCP)), "closed"},
		{"a connection without a grant, undeclared", cart.talk(at(ledger.IPv4, portUndeclared)), "closed"},
		{"a connection that nobody may open", web.talk(at(vault.IPv4, portTCP)), "closed"},
		{"the sidecar's port", web.get(at(ledger.IPv4, 15006), "/read", "pod"), "closed"},
		{"a port like the sidecar's", web.talk(at(ledger.IPv4, 15000)), "closed"},
		{"a port that nobody serves", web.talk(at(ledger.IPv4, 15111)), "closed"},
	})
	if after := w.greetings("ledger", "vault"); after != before {
		t.Errorf("%d denied connections reached an application", after-before)
	}
}

// testPlainClients are refused on every port, whether something declares it or
// serves it or not.
func (w *town) testPlainClients(t *testing.T) {
	plain, ledger := w.pods["plain"], w.pods["ledger"]
	before := w.greetings("ledger")
	for _, address := range []netip.Addr{ledger.net.IPv4, ledger.net.IPv6} {
		for _, port := range []int{portHTTP, portGRPC, portTCP, portUndeclared, portHidden, 1, 15000, 15001, 15002, 15006, 65535} {
			check(t, []call{{fmt.Sprintf("HTTP to %s", at(address, port)), plain.get(at(address, port), "/read", "pod"), "closed"}})
		}
	}
	if after := w.greetings("ledger"); after != before {
		t.Errorf("%d refused connections reached the application", after-before)
	}
}

// testUDP sees that a strict pod is sent nothing, and hears the replies to what it
// has asked itself.
func (w *town) testUDP(t *testing.T) {
	ledger, plain := w.pods["ledger"].net, w.pods["plain"].net
	for _, address := range []struct{ ledger, plain netip.Addr }{{ledger.IPv4, plain.IPv4}, {ledger.IPv6, plain.IPv6}} {
		inside, outside := ledger.ListenUDP(t, at(address.ledger, 5300)), plain.ListenUDP(t, at(address.plain, 5300))
		for i, text := range []string{"uncalled", "reply"} {
			if i == 1 {
				if _, err := inside.WriteTo([]byte("question"), outside.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				if got := datagram(t, outside); got != "question" {
					t.Fatalf("the pod outside got %q", got)
				}
			}
			if _, err := outside.WriteTo([]byte(text), inside.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		if got := datagram(t, inside); got != "reply" {
			t.Errorf("first, %s got %q", address.ledger, got)
		}
	}
}

func datagram(t *testing.T, c net.PacketConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 100)
	n, _, err := c.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// testSplit applies to the Service's addresses, whatever name a request has, and
// not to its pods'.
func (w *town) testSplit(t *testing.T) {
	web, ledger := w.pods["web"], w.pods["ledger"].net
	w.apply(manifests + split)
	w.awaitSidecars()
	check(t, []call{
		{"by the Service", web.get(storeAddress+":80", "/read", "whatever.example:99"), "200 canary"},
		{"by the Service, IPv6", web.get("["+storeAddress6+"]:80", "/read", "store"), "200 canary"},
		{"by the pod", web.get(at(ledger.IPv4, portHTTP), "/read", "store"), "200 ledger"},
	})
	w.apply(manifests)
	w.awaitSidecars()
	check(t, []call{{"without the split", web.get(storeAddress+":80", "/read", "store"), "200 ledger"}})
}

// testWithdrawn takes all grants away.
func (w *town) testWithdrawn(t *testing.T) {
	web, ledger := w.pods["web"], w.pods["ledger"].net
	services, _, _ := strings.Cut(manifests, "---\napiVersion: specs")
	w.apply(services)
	w.awaitSidecars()
	check(t, []call{
		{"by the Service", web.get(storeAddress+":80", "/read", "store"), "403"},
		{"by the pod", web.get(at(ledger.IPv4, portHTTP), "/read", "store"), "403"},
		{"a connection", web.talk(dbAddress + ":5432"), "closed"},
	})
}

// greetings counts the connections that reached applications.
func (w *town) greetings(names ...string) int {
	count := 0
	for _, name := range names {
		count += w.pods[name].greetings()
	}
	return count
}

const openNamespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: open, labels: {smi-spec.io/access: permissive}}
---
apiVersion: v1
kind: Service
metadata: {name: open, namespace: open}
spec:
  clusterIP: 10.78.0.7
  selector: {app: open}
  ports: [{name: http, port: 80, targetPort: 8080}]
`

// TestOpen shows the ports that peers without identity may use.
func TestOpen(t *testing.T) {
	w := startTown(t, options{manifests: openNamespaces},
		citizen{namespace: "open", name: "open"},
		citizen{namespace: "shop", name: "hook", annotations: map[string]string{"smi-spec.io/plaintext-ports": "8080, 5432"}},
		citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "plain", plain: true})
	plain, web, open, hook := w.pods["plain"], w.pods["web"], w.pods["open"].net, w.pods["hook"].net
	check(t, []call{
		{"permissive", plain.get(at(open.IPv4, portHTTP), "/", "open"), "200 open HTTP/1.1 GET / on 8080, xfcc="},
		{"permissive, IPv6", plain.get(at(open.IPv6, portHTTP), "/", "open"), "200 open"},
		{"permissive, gRPC", plain.getHTTP2(at(open.IPv4, portGRPC), "/", "open"), "200 open HTTP/2.0"},
		{"permissive, a port that nothing declares", plain.get(at(open.IPv4, portHidden), "/", "open"), "200 open"},
		{"permissive, server speaks first", plain.talk(at(open.IPv4, portTCP)), "0 hello from open\nping"},
		{"permissive, server speaks first, undeclared", plain.talk(at(open.IPv4, portUndeclared)), "0 hello from open\nping"},
		{"permissive, the sidecar's port", plain.talk(at(open.IPv4, 15006)), "closed"},
		{"permissive, a port like the sidecar's", plain.talk(at(open.IPv4, 15001)), "closed"},
		{"permissive, meshed", web.get("10.78.0.7:80", "/", "open"), "200 open HTTP/1.1 GET / on 8080, xfcc=URI=spiffe://cluster.local/ns/shop/sa/web"},
		{"permissive, meshed, by its address", web.get(at(open.IPv4, portHidden), "/", "open"), "200 open HTTP/1.1 GET / on 9999, xfcc=URI=spiffe://cluster.local/ns/shop/sa/web"},

		{"plaintext port", plain.get(at(hook.IPv4, portHTTP), "/", "hook"), "200 hook HTTP/1.1 GET / on 8080, xfcc="},
		{"plaintext port, server speaks first", plain.talk(at(hook.IPv4, portTCP)), "0 hello from hook\nping"},
		{"plaintext port, meshed without a grant", web.get(at(hook.IPv4, portHTTP), "/", "hook"), "403"},
		{"beside plaintext ports", plain.get(at(hook.IPv4, portGRPC), "/", "hook"), "closed"},
		{"beside plaintext ports, nothing declares it", plain.get(at(hook.IPv4, portHidden), "/", "hook"), "closed"},
	})
}

// TestWithinThePod has a neighbour send to addresses that only a pod itself uses,
// where everybody may call the pod. The redirection lets none of it in; even if it
// did, the sidecar would deliver nothing.
func TestWithinThePod(t *testing.T) {
	w := startTown(t, options{manifests: openNamespaces},
		citizen{namespace: "open", name: "open"}, citizen{namespace: "shop", name: "plain", plain: true})
	plain, open := w.pods["plain"], w.pods["open"]
	addresses := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(sidecar.DeliveryIPv4), netip.MustParseAddr(sidecar.DeliveryIPv6)}
	for _, address := range addresses {
		neighbour := open.net.IPv4
		if address.Is6() {
			neighbour = open.net.IPv6
		}
		plain.net.Send(t, address, neighbour)
		check(t, []call{{address.String(), plain.get(at(address, portHTTP), "/", "open"), "failed: "}})
	}
	open.net.Must(t, openBorder)
	for _, address := range addresses {
		for _, port := range []int{portHTTP, portHidden} {
			check(t, []call{{"without the redirection's help, " + at(address, port), plain.get(at(address, port), "/", "open"), "closed"}})
		}
	}
	check(t, []call{{"the pod's own address", plain.get(at(open.net.IPv4, portHTTP), "/", "open"), "200 open"}})
}

// openBorder takes away the rules by which the redirection drops what goes to
// addresses within the pod.
func openBorder() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.FlushChain(&nftables.Chain{Name: "border", Table: &nftables.Table{Name: "smi", Family: nftables.TableFamilyINet}})
	return c.Flush()
}

// TestRefuseOutside shows a mesh whose pods may send nothing to the world.
func TestRefuseOutside(t *testing.T) {
	w := startTown(t, options{manifests: manifests, ranges: ranges, render: envoy.Options{RefuseOutside: true}},
		citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "plain", plain: true})
	web, plain := w.pods["web"], w.pods["plain"].net
	check(t, []call{
		{"in the mesh", web.get(storeAddress+":80", "/read", "store"), "200 ledger"},
		{"outside", web.get(at(netlab.OutsideIPv4, portHTTP), "/read", "outside"), "closed"},
		{"outside, IPv6", web.get(at(netlab.OutsideIPv6, portHTTP), "/read", "outside"), "closed"},
		{"a pod outside the mesh", web.get(at(plain.IPv4, portHTTP), "/read", "plain"), "closed"},
		{"its Service, which is the mesh's to know", web.get(plainAddress+":80", "/read", "legacy"), "200 plain"},
	})
}

// TestWithoutIPv6 has pods that have no IPv6 at all.
func TestWithoutIPv6(t *testing.T) {
	w := startTown(t, options{manifests: manifests, ranges: ranges},
		citizen{namespace: "shop", name: "ledger", ipv4: true}, citizen{namespace: "shop", name: "web", ipv4: true},
		citizen{namespace: "shop", name: "plain", ipv4: true, plain: true})
	web, plain, ledger := w.pods["web"], w.pods["plain"], w.pods["ledger"].net
	check(t, []call{
		{"a Service", web.get(storeAddress+":80", "/read", "store"), "200 ledger"},
		{"a pod", web.get(at(ledger.IPv4, portHTTP), "/read", "pod"), "200 ledger"},
		{"server speaks first", web.talk(dbAddress + ":5432"), "0 hello from ledger\nping"},
		{"outside", web.get(at(netlab.OutsideIPv4, portHTTP), "/read", "outside"), "200 outside"},
		{"a plain client", plain.get(at(ledger.IPv4, portHTTP), "/read", "pod"), "closed"},
	})
}

// TestExcludedPort has a port whose connections pass the sidecar by. It is
// outside the mesh, by whatever address it is called.
func TestExcludedPort(t *testing.T) {
	const excluded = openNamespaces + `
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: shop}
spec:
  clusterIP: 10.78.0.8
  selector: {app: ledger}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 81, targetPort: 9090}]
`
	for name, everywhere := range map[string][]uint16{"by the pod": nil, "by the configuration": {8080}} {
		t.Run(name, func(t *testing.T) {
			w := startTown(t, options{manifests: excluded, ranges: ranges, excluded: everywhere},
				citizen{namespace: "shop", name: "ledger", redirection: sidecar.Redirection{ExcludeInbound: []uint16{8080}}},
				// Its annotation came when the pod was there already.
				citizen{namespace: "shop", name: "vault", annotations: map[string]string{sidecar.AnnotationExcludeInbound: "8080"}},
				citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "plain", plain: true})
			web, plain, ledger, vault := w.pods["web"], w.pods["plain"], w.pods["ledger"].net, w.pods["vault"].net
			check(t, []call{
				{"by the Service", web.get("10.78.0.8:80", "/", "ledger"), "200 ledger HTTP/1.1 GET / on 8080, xfcc="},
				{"by the pod", web.get(at(ledger.IPv4, portHTTP), "/", "ledger"), "200 ledger HTTP/1.1 GET / on 8080, xfcc="},
				{"by the pod, IPv6", web.get(at(ledger.IPv6, portHTTP), "/", "ledger"), "200 ledger"},
				{"a plain client", plain.get(at(ledger.IPv4, portHTTP), "/", "ledger"), "200 ledger"},
				{"another port", web.get("10.78.0.8:81", "/", "ledger"), "403"},
				{"another port of the pod", web.get(at(ledger.IPv4, portGRPC), "/", "ledger"), "403"},
				{"another port, a plain client", plain.get(at(ledger.IPv4, portGRPC), "/", "ledger"), "closed"},
				{"a port that an annotation alone names", web.get(at(vault.IPv4, portHTTP), "/", "vault"), "403"},
				{"a port that an annotation alone names, a plain client", plain.get(at(vault.IPv4, portHTTP), "/", "vault"), "closed"},
			})
		})
	}
}
