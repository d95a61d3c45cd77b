package envoy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/smi-project/smi/mesh"
)

// city is a mesh of n Services with a class of one pod each, two TrafficTargets
// of five sources at each, and a split on every fourth.
func city(n int) (*mesh.Mesh, []Proxy) {
	account := func(i int) mesh.Account {
		i %= n
		return mesh.Account{Namespace: fmt.Sprintf("ns%d", i%50), Name: fmt.Sprintf("app-%d", i)}
	}
	ports := make([]*mesh.ServicePort, n)
	policies := make([]*mesh.Policy, n)
	reaches := make([][]*mesh.ServicePort, n)
	for i := range n {
		d := mesh.Destination{Account: account(i), Port: 8080, Protocol: mesh.HTTP, Meshed: true, Mode: mesh.Strict}
		ports[i] = &mesh.ServicePort{
			Service: account(i), Number: 80, Protocol: mesh.HTTP, Destinations: []mesh.Destination{d},
			Endpoints: []mesh.Endpoint{{Destination: d, Pod: account(i), Workload: account(i).Name, Address: "10.0.0.1"}},
		}
		policies[i] = &mesh.Policy{Account: account(i)}
	}
	services := make([]*mesh.Service, n)
	for i := range n {
		if i%4 == 0 {
			ports[i].Splits = []*mesh.Split{{Name: account(i), Backends: []mesh.Backend{
				{Service: account(i), Port: 80, Weight: 90}, {Service: account(i + 50), Port: 80, Weight: 10},
			}}}
		}
		services[i] = &mesh.Service{Name: account(i), Ports: ports[i : i+1]}
		for target := range 2 {
			g := &mesh.Grant{Target: mesh.Name{Namespace: account(i).Namespace, Name: fmt.Sprintf("t%d-%d", i, target)}, Matches: []*mesh.Match{
				{Methods: []string{"GET"}, Path: "/accounts/[0-9]+"}, {Methods: []string{"POST", "PUT"}, Path: "/orders", Headers: []mesh.HeaderMatch{{Name: "x-tenant", Value: "a.*"}}},
			}}
			for s := range 5 {
				from := i + 1 + target*5 + s
				g.Sources = append(g.Sources, mesh.PrincipalOf(testDomain, account(from)))
				reaches[from%n] = append(reaches[from%n], ports[i])
			}
			policies[i].Grants = append(policies[i].Grants, g)
		}
	}
	workloads := make([]*mesh.Workload, n)
	proxies := make([]Proxy, n)
	for i := range n {
		workloads[i] = &mesh.Workload{
			ID: fmt.Sprint(i), Account: account(i), Mode: mesh.Strict, Policy: policies[i], Reaches: reaches[i],
			Ports: []mesh.InboundPort{{Number: 8080, Protocol: mesh.HTTP}},
		}
		proxies[i] = Proxy{Node: account(i).String() + "-0", Workload: workloads[i], Placement: Placement{
			SidecarAddress: fmt.Sprintf("127.1.%d.%d", i/250, i%250+1), AppAddress: fmt.Sprintf("127.2.%d.%d", i/250, i%250+1),
		}}
	}
	slices.SortFunc(services, func(a, b *mesh.Service) int { return a.Name.Compare(b.Name) })
	slices.SortFunc(policies, func(a, b *mesh.Policy) int { return a.Account.Compare(b.Account) })
	return mesh.New(testDomain, services, workloads, policies, nil), proxies
}

func BenchmarkRenderAll(b *testing.B) {
	m, proxies := city(2000)
	for b.Loop() {
		New(Options{}).Render(m, proxies, Epochs{})
	}
}

// One changed split: a new ServicePort, and new classes of those that reach it.
func BenchmarkRenderOneSplit(b *testing.B) {
	m, proxies := city(2000)
	r := New(Options{})
	r.Render(m, proxies, Epochs{})
	weight := uint32(0)
	for b.Loop() {
		b.StopTimer()
		weight++
		m, proxies = changeSplit(m, proxies, weight)
		b.StartTimer()
		r.Render(m, proxies, Epochs{})
	}
}

// changeSplit compiles what a new weight of the first split changes, sharing
// the rest.
func changeSplit(m *mesh.Mesh, proxies []Proxy, weight uint32) (*mesh.Mesh, []Proxy) {
	old := m.Services[0].Ports[0]
	port, split := *old, *old.Splits[0]
	split.Backends = []mesh.Backend{split.Backends[0], split.Backends[1]}
	split.Backends[1].Weight = weight
	port.Splits = []*mesh.Split{&split}
	services := append([]*mesh.Service{{Name: port.Service, Ports: []*mesh.ServicePort{&port}}}, m.Services[1:]...)
	workloads, next := append([]*mesh.Workload(nil), m.Workloads...), append([]Proxy(nil), proxies...)
	for i, w := range workloads {
		for j, sp := range w.Reaches {
			if sp == old {
				changed := *w
				changed.Reaches = append([]*mesh.ServicePort(nil), w.Reaches...)
				changed.Reaches[j] = &port
				workloads[i], next[i].Workload = &changed, &changed
			}
		}
	}
	return mesh.New(testDomain, services, workloads, m.Policies, nil), next
}
