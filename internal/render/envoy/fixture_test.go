package envoy

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

const testDomain = "cluster.local"

var (
	ledger = mesh.Account{Namespace: "bank", Name: "ledger"}
	canary = mesh.Account{Namespace: "bank", Name: "canary"}
	web    = mesh.Account{Namespace: "shop", Name: "web"}
	cart   = mesh.Account{Namespace: "shop", Name: "cart"}
)

func principal(a mesh.Account) mesh.Principal { return mesh.PrincipalOf(testDomain, a) }

// Ports of the ledger's pods, and of the Services in front of them.
const (
	portHTTP       = 8080
	portHTTP2      = 9090
	portTCP        = 5432
	portUndeclared = 7000
)

// town is a small mesh: "ledger" and "canary" in the namespace bank serve,
// "web" and "cart" in the namespace shop call.
type town struct {
	mode      mesh.Mode
	plaintext bool
	grants    []*mesh.Grant
	// address gives the sidecar of an account.
	address func(mesh.Account) string
	weight  uint32
	// logs is where the access log goes, if anywhere.
	logs string
	// tcpSplit shares connections to the database like requests to the ledger.
	tcpSplit bool
	// imposter makes endpoints of the ledger lead to the canary.
	imposter bool
	// numbered adds a namespace that is called like the end of an address.
	numbered bool
}

func webGrants() []*mesh.Grant {
	return []*mesh.Grant{
		{
			Target: mesh.Name{Namespace: "bank", Name: "web-reads"}, Sources: []mesh.Principal{principal(web)},
			Matches: []*mesh.Match{
				{Name: "read", Methods: []string{"GET", "PRI.?"}, Path: "/accounts"},
				{Name: "hosted", Path: "/hosted$", Headers: []mesh.HeaderMatch{{Name: "host", Value: `ledger\.bank$`}, {Name: "x-tag", Value: "a|b"}}},
				{Name: "beta", Path: "/beta|/gamma"},
				{Name: "stream", Path: "/stream"},
				{Name: "grpc", Path: "/bank.Ledger/Read"},
			},
		},
		{
			Target: mesh.Name{Namespace: "bank", Name: "web-connects"}, Sources: []mesh.Principal{principal(web)},
			Ports: []uint16{portTCP, portUndeclared}, Connections: true,
		},
		{
			Target: mesh.Name{Namespace: "bank", Name: "cart-reads"}, Sources: []mesh.Principal{principal(cart)},
			Ports: []uint16{portHTTP, portUndeclared}, Matches: []*mesh.Match{{Name: "all"}},
		},
	}
}

func (w *town) mesh() *mesh.Mesh {
	var services []*mesh.Service
	canaryHTTP := w.servicePort("canary", 80, portHTTP, mesh.HTTP, canary)
	root := w.servicePort("ledger", 80, portHTTP, mesh.HTTP, ledger)
	to := func(service string, weight uint32) mesh.Backend {
		return mesh.Backend{Service: mesh.Name{Namespace: "bank", Name: service}, Port: 80, Weight: weight}
	}
	root.Splits = []*mesh.Split{
		{
			Name:     mesh.Name{Namespace: "bank", Name: "beta"},
			Matches:  []*mesh.Match{{Path: "/beta"}, {Path: "/accounts", Methods: []string{"PUT", "PATCH"}, Headers: []mesh.HeaderMatch{{Name: "x-tag", Value: "b.*"}}}},
			Backends: []mesh.Backend{to("canary", 7)},
		},
		{Name: mesh.Name{Namespace: "bank", Name: "weights"}, Backends: []mesh.Backend{to("ledger", 100-w.weight), to("canary", w.weight)}},
	}
	db := w.servicePort("db", portTCP, portTCP, mesh.TCP, ledger)
	if w.tcpSplit {
		db.Splits = []*mesh.Split{{Name: mesh.Name{Namespace: "bank", Name: "db"}, Backends: []mesh.Backend{
			{Service: db.Service, Port: portTCP, Weight: 100 - w.weight},
			{Service: mesh.Name{Namespace: "bank", Name: "misc"}, Port: portUndeclared, Weight: w.weight},
		}}}
	}
	for _, sp := range []*mesh.ServicePort{
		canaryHTTP,
		db,
		w.servicePort("grpc", 80, portHTTP2, mesh.HTTP2, ledger),
		root,
		w.servicePort("misc", portUndeclared, portUndeclared, mesh.Undeclared, ledger),
	} {
		services = append(services, &mesh.Service{Name: sp.Service, Ports: []*mesh.ServicePort{sp}})
	}
	legacy := &mesh.ServicePort{
		Service: mesh.Name{Namespace: "bank", Name: "old"}, Number: 80, Protocol: mesh.HTTP,
		Destinations: []mesh.Destination{{Account: mesh.Account{Namespace: "bank", Name: "default"}, Port: 80, Protocol: mesh.HTTP}},
	}
	legacy.Endpoints = []mesh.Endpoint{{Destination: legacy.Destinations[0], Pod: mesh.Name{Namespace: "bank", Name: "old-0"}, Workload: "old", Address: "127.0.0.1"}}
	services = append(services, &mesh.Service{Name: legacy.Service, Ports: []*mesh.ServicePort{legacy}})

	policy := &mesh.Policy{Account: ledger, Grants: w.grants}
	canaryPolicy := &mesh.Policy{Account: canary, Grants: []*mesh.Grant{{
		Target: mesh.Name{Namespace: "bank", Name: "web-canary"}, Sources: []mesh.Principal{principal(web)}, Matches: []*mesh.Match{{Path: "/beta"}},
	}}}
	ports := []mesh.InboundPort{
		{Number: portTCP, Protocol: mesh.TCP, Plaintext: w.plaintext},
		{Number: portUndeclared, Protocol: mesh.Undeclared, Plaintext: w.plaintext},
		{Number: portHTTP, Protocol: mesh.HTTP, Plaintext: w.plaintext},
		{Number: portHTTP2, Protocol: mesh.HTTP2, Plaintext: w.plaintext},
	}
	var all []*mesh.ServicePort
	for _, s := range services {
		all = append(all, s.Ports...)
	}
	workloads := []*mesh.Workload{
		{ID: "canary", Account: canary, Mode: w.mode, Policy: canaryPolicy, Ports: ports[2:3], Pods: []mesh.Name{{Namespace: "bank", Name: "canary-0"}}},
		{ID: "cart", Account: cart, Mode: mesh.Strict, Reaches: []*mesh.ServicePort{all[4]}, Pods: []mesh.Name{{Namespace: "shop", Name: "cart-0"}}},
		{ID: "ledger", Account: ledger, Mode: w.mode, Policy: policy, Ports: ports, Pods: []mesh.Name{{Namespace: "bank", Name: "ledger-0"}}},
		{ID: "web", Account: web, Mode: mesh.Strict, Reaches: all, Pods: []mesh.Name{{Namespace: "shop", Name: "web-0"}}},
	}
	if w.numbered {
		web := mesh.Name{Namespace: "1", Name: "web"}
		services = slices.Insert(services, 0, &mesh.Service{Name: web, Ports: []*mesh.ServicePort{{Service: web, Number: 80, Protocol: mesh.HTTP}}})
	}
	return mesh.New(testDomain, services, workloads, []*mesh.Policy{canaryPolicy, policy}, nil)
}

func (w *town) servicePort(name string, number, target uint16, protocol mesh.Protocol, account mesh.Account) *mesh.ServicePort {
	address := w.address(account)
	if w.imposter && account == ledger {
		address = w.address(canary)
	}
	d := mesh.Destination{Account: account, Port: target, Protocol: protocol, Meshed: true, Mode: w.mode, Plaintext: w.plaintext}
	return &mesh.ServicePort{
		Service: mesh.Name{Namespace: "bank", Name: name}, Number: number, Protocol: protocol,
		Destinations: []mesh.Destination{d},
		Endpoints: []mesh.Endpoint{{
			Destination: d, Pod: mesh.Name{Namespace: "bank", Name: account.Name + "-0"}, Workload: account.Name, Address: address,
		}},
	}
}

// proxies places each class's one pod.
func (w *town) proxies(m *mesh.Mesh) []Proxy {
	var out []Proxy
	for _, workload := range m.Workloads {
		place := Placement{SidecarAddress: w.address(workload.Account), AppAddress: appAddress(w.address(workload.Account))}
		if workload.Reaches != nil {
			place.Upstreams = map[ServicePort]uint16{}
			for i, s := range m.Services {
				place.Upstreams[ServicePort{s.Name, s.Ports[0].Number}] = uint16(20000 + i)
			}
		}
		out = append(out, Proxy{Node: workload.Account.String(), Workload: workload, Placement: place})
	}
	return out
}

// appAddress is the application's address beside a sidecar's: 127.x.1.z beside
// 127.x.0.z.
func appAddress(sidecar string) string {
	var x, z int
	if _, err := fmt.Sscanf(sidecar, "127.%d.0.%d", &x, &z); err != nil {
		panic(err)
	}
	return fmt.Sprintf("127.%d.1.%d", x, z)
}

func fixedAddress(net int) func(mesh.Account) string {
	order := map[mesh.Account]int{ledger: 1, canary: 2, web: 3, cart: 4}
	return func(a mesh.Account) string { return fmt.Sprintf("127.%d.0.%d", net, order[a]) }
}

func bodies(t testing.TB, resources []*Resource) []envoytest.Body {
	t.Helper()
	out := make([]envoytest.Body, len(resources))
	for i, r := range resources {
		message, err := anypb.UnmarshalNew(r.Any(), protoUnmarshal)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = envoytest.Body{Type: r.Type, Name: r.Name, Message: message}
	}
	return out
}
