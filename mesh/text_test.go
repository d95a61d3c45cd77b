package mesh_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/mesh"
)

func bookstore() *mesh.Mesh {
	name := func(n string) mesh.Name { return mesh.Name{Namespace: "bookstore", Name: n} }
	group := name("routes")
	buy := &mesh.Match{Name: "buy", Group: group, Methods: []string{"GET", "POST"}, Path: "/buy"}
	tablet := &mesh.Match{Name: "tablet", Group: group, Headers: []mesh.HeaderMatch{
		{Name: "user-agent", Value: "Android Tablet"}, {Name: "x-user", Value: "a.*"},
	}}
	toV1 := mesh.Destination{Account: name("v1"), Port: 8080, Protocol: mesh.HTTP, Meshed: true, Mode: mesh.Strict}
	toV2 := mesh.Destination{Account: name("v2"), Port: 8080, Protocol: mesh.TCP, Mode: mesh.Audit, Plaintext: true}
	unready := mesh.Destination{Account: name("v3"), Port: 8080, Protocol: mesh.HTTP, Meshed: true, Mode: mesh.Strict}
	away := mesh.Destination{Port: 5432, Protocol: mesh.TCP, Mode: mesh.Permissive}
	v1 := &mesh.ServicePort{
		Service: name("v1"), Number: 80, Protocol: mesh.HTTP,
		Destinations: []mesh.Destination{toV1, unready},
		Endpoints:    []mesh.Endpoint{{Destination: toV1, Pod: name("v1-0"), Workload: "v1", Address: "127.0.1.1"}},
	}
	v2 := &mesh.ServicePort{
		Service: name("v2"), Number: 80, Protocol: mesh.HTTP,
		Destinations: []mesh.Destination{toV2},
		Endpoints:    []mesh.Endpoint{{Destination: toV2, Pod: name("v2-0"), Workload: "v2"}},
	}
	root := &mesh.ServicePort{
		Service: name("root"), Name: "web", Number: 80, Protocol: mesh.HTTP,
		Splits: []*mesh.Split{
			{Name: name("canary"), Matches: []*mesh.Match{buy, tablet}, Backends: []mesh.Backend{
				{Service: name("v1"), Port: 80, Weight: 2}, {Service: name("v2"), Port: 80, Weight: 1},
			}},
			{Name: name("all"), Backends: []mesh.Backend{{Service: name("v1"), Port: 80, Weight: 1}}},
		},
	}
	outside := &mesh.ServicePort{
		Service: name("database"), Number: 5432, Protocol: mesh.TCP,
		Destinations: []mesh.Destination{away},
		Endpoints:    []mesh.Endpoint{{Destination: away, Address: "192.0.2.1"}},
	}
	policy := &mesh.Policy{Account: name("v1"), Grants: []*mesh.Grant{
		{Target: name("buyers"), Sources: []mesh.Principal{"spiffe://cluster.local/ns/shop/sa/buyer", "spiffe://partner.example/agent"}, Matches: []*mesh.Match{
			buy, {Name: "all", Group: group}, {Name: "writes", Group: group, Methods: []string{"PUT"}},
			{Name: "metrics", Group: group, Path: "/metrics"},
		}},
		{Target: name("clerks"), Sources: []mesh.Principal{"spiffe://cluster.local/ns/shop/sa/clerk"}, Ports: []uint16{8080, 8081}, Matches: []*mesh.Match{buy}},
		{Target: name("tcp"), Sources: []mesh.Principal{"spiffe://cluster.local/ns/shop/sa/clerk"}, Ports: []uint16{3306}, Connections: true},
	}}
	return mesh.New("cluster.local",
		[]*mesh.Service{
			{Name: name("database"), Headless: true, Ports: []*mesh.ServicePort{outside}},
			{Name: name("root"), ClusterIPs: []string{"10.0.0.1", "fd00::1"}, Ports: []*mesh.ServicePort{root}},
			{Name: name("v1"), Ports: []*mesh.ServicePort{v1}},
			{Name: name("v2"), Ports: []*mesh.ServicePort{v2}},
		},
		[]*mesh.Workload{
			{ID: "0", Account: mesh.Name{Namespace: "shop", Name: "buyer"}, Mode: mesh.Permissive, Pods: []mesh.Name{{Namespace: "shop", Name: "buyer-0"}}, Reaches: []*mesh.ServicePort{root}},
			{ID: "1", Account: name("v1"), Mode: mesh.Strict, Pods: []mesh.Name{name("v1-0")}, Ports: []mesh.InboundPort{{Number: 8080, Protocol: mesh.HTTP, Plaintext: true}}, Policy: policy},
		},
		[]*mesh.Policy{policy},
		[]mesh.Finding{
			{Rule: "AC-7", Severity: mesh.Error, Object: mesh.ObjectRef{Kind: "TrafficTarget", Namespace: "bookstore", Name: "buyers"}, Field: "spec.rules[0]", Reason: "UnknownRoute", Message: "there is no HTTPRouteGroup \"x\""},
			{Rule: "TS-5", Severity: mesh.Warning, Object: mesh.ObjectRef{Kind: "Service", Namespace: "bookstore", Name: "root"}, Reason: "NoPods", Message: "selects no pod"},
		},
	)
}

const bookstoreText = `trust domain cluster.local

service bookstore/database, headless
  port 5432 tcp
    destination tcp port 5432, outside the mesh
      address 192.0.2.1

service bookstore/root at 10.0.0.1, fd00::1
  port 80 http named web
    split bookstore/canary for GET or POST /buy (bookstore/routes/buy)
      or any request with user-agent: "Android Tablet" and x-user: a.* (bookstore/routes/tablet)
      2 v1:80 (66.67%)
      1 v2:80 (33.33%)
    split bookstore/all for everything
      1 v1:80 (100%)

service bookstore/v1
  port 80 http
    destination bookstore/v1 http port 8080
      pod bookstore/v1-0 of v1 at 127.0.1.1
    destination bookstore/v3 http port 8080
      no ready pod

service bookstore/v2
  port 80 http
    destination bookstore/v2 tcp port 8080, audit, outside the mesh, open to peers without identity
      pod bookstore/v2-0 of v2

policy bookstore/v1
  bookstore/buyers lets shop/buyer, spiffe://partner.example/agent send to any port that speaks HTTP
    GET or POST /buy (bookstore/routes/buy)
    any request (bookstore/routes/all)
    PUT any path (bookstore/routes/writes)
    any method /metrics (bookstore/routes/metrics)
  bookstore/clerks lets shop/clerk send to ports 8080, 8081
    GET or POST /buy (bookstore/routes/buy)
  bookstore/tcp lets shop/clerk connect to port 3306

workload bookstore/v1
  pod bookstore/v1-0
  serves http port 8080, open to peers without identity

workload shop/buyer, permissive
  pod shop/buyer-0
  reaches bookstore/root:80

findings
  error AC-7 UnknownRoute: TrafficTarget bookstore/buyers, spec.rules[0]
    there is no HTTPRouteGroup "x"
  warning TS-5 NoPods: Service bookstore/root
    selects no pod
`

func TestWriteText(t *testing.T) {
	var b strings.Builder
	if err := bookstore().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bookstoreText, b.String()); diff != "" {
		t.Errorf("text differs (-want +got):\n%s", diff)
	}
}

func TestWriteTextOfAnEmptyMesh(t *testing.T) {
	var b strings.Builder
	if err := mesh.New("example.org", nil, nil, nil, nil).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if want := "trust domain example.org\n\nno findings\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// What users wrote must not start a line of its own or command a terminal.
func TestWriteTextEscapes(t *testing.T) {
	for _, hostile := range []string{"a\nservice b/c", "\x1b[2J", "\u202eevil", "\xff\x00"} {
		s := &mesh.Service{Name: mesh.Name{Namespace: "ns", Name: "s"}, Ports: []*mesh.ServicePort{{
			Name: hostile, Number: 1, Protocol: mesh.HTTP,
			Splits: []*mesh.Split{{Matches: []*mesh.Match{{Name: hostile, Path: hostile, Methods: []string{hostile}}}}},
		}}}
		m := mesh.New("cluster.local", []*mesh.Service{s}, nil, nil, []mesh.Finding{{Message: hostile}})
		var b strings.Builder
		if err := m.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if strings.ContainsAny(text, "\x00\x1b\u202e") || !utf8.ValidString(text) || strings.Count(text, "\n") != 9 {
			t.Errorf("%q got through:\n%q", hostile, text)
		}
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteTextReportsAFailedWrite(t *testing.T) {
	if err := bookstore().WriteText(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want %v", err, errBroken)
	}
}
