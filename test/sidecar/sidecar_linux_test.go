package sidecar_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/smi-project/smi/internal/netlab"
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

func shop(t *testing.T, o options) *town {
	t.Helper()
	return startTown(t, o,
		citizen{namespace: "shop", name: "ledger"}, citizen{namespace: "shop", name: "canary"}, citizen{namespace: "shop", name: "vault"},
		citizen{namespace: "shop", name: "web"}, citizen{namespace: "shop", name: "cart"}, citizen{namespace: "shop", name: "plain", plain: true},
	)
}

func TestStrict(t *testing.T) {
	w := shop(t, options{manifests: manifests, ranges: ranges})
	t.Run("services", w.testServices)
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
		if c.got.err != nil && c.got.body == "" {
			got = "closed"
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
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
	before := w.pods["ledger"].greetings() + w.pods["vault"].greetings()
	check(t, []call{
		{"a connection without a grant", cart.talk(dbAddress + ":5432"), "closed"},
		{"a connection without a grant, undeclared", cart.talk(miscAddress + ":7000"), "closed"},
		{"a connection to a Service that nobody may call", web.talk(vaultAddress + ":5432"), "closed"},
	})
	if after := w.pods["ledger"].greetings() + w.pods["vault"].greetings(); after != before {
		t.Errorf("%d denied connections reached an application", after-before)
	}
}
