package envoy

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// island is a small mesh on a cluster: web may open connections to the ledger's
// pods, by a Service or by their addresses.
func island() *mesh.Mesh {
	grant := &mesh.Grant{Target: mesh.Name{Namespace: "bank", Name: "web-connects"}, Sources: []mesh.Principal{principal(web)}, Connections: true}
	policy := &mesh.Policy{Account: ledger, Grants: []*mesh.Grant{grant}}
	ports := []mesh.InboundPort{{Number: mesh.AnyPort, Protocol: mesh.Undeclared}, {Number: portTCP, Protocol: mesh.TCP}}
	d := mesh.Destination{Account: ledger, Port: portTCP, Protocol: mesh.TCP, Meshed: true, Mode: mesh.Strict}
	db := &mesh.ServicePort{
		Service: mesh.Name{Namespace: "bank", Name: "db"}, Number: 80, Protocol: mesh.TCP, Destinations: []mesh.Destination{d},
		Endpoints: []mesh.Endpoint{{Destination: d, Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, Workload: "ledger", Address: "10.1.0.5"}},
	}
	group := &mesh.PodGroup{
		ID: "ledger", Account: ledger, Ports: ports,
		Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.5"), netip.MustParseAddr("fd00:1::5")},
	}
	m := mesh.New(testDomain,
		[]*mesh.Service{{Name: db.Service, ClusterIPs: []string{"10.2.0.1", "fd00:2::1"}, Ports: []*mesh.ServicePort{db}}},
		[]*mesh.Workload{
			{
				ID: "ledger", Account: ledger, Mode: mesh.Strict, Policy: policy, Ports: ports,
				Pods: []mesh.Name{{Namespace: "bank", Name: "ledger-0"}, {Namespace: "bank", Name: "ledger-1"}},
			},
			{
				ID: "web", Account: web, Mode: mesh.Strict, Ports: ports[:1], Reaches: []*mesh.ServicePort{db}, ReachesPods: []*mesh.PodGroup{group},
				Pods: []mesh.Name{{Namespace: "shop", Name: "web-0"}},
			},
		},
		[]*mesh.Policy{policy}, nil)
	m.Addresses = &mesh.Addresses{
		Inside:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.1/32"), netip.MustParsePrefix("fd00:1::/64")},
		Outside: []netip.Prefix{netip.MustParsePrefix("10.1.0.7/32")},
	}
	return m
}

func islandProxies(m *mesh.Mesh) []Proxy {
	var out []Proxy
	for _, w := range m.Workloads {
		for _, pod := range w.Pods {
			out = append(out, Proxy{Node: pod.String(), Workload: w, Placement: Placement{Cluster: true, IPv6: true}})
		}
	}
	return out
}

// The golden files show what is different on a cluster.
func TestGoldenOnACluster(t *testing.T) {
	m := island()
	rendered := New(Options{Metrics: NoMetrics}).Render(m, islandProxies(m), Epochs{})
	for _, tt := range []struct{ node, kind, name string }{
		{"bank/ledger-0", "Listener", "inbound"},
		{"bank/ledger-0", "Listener", "inner|5432"},
		{"bank/ledger-0", "Cluster", "application"},
		{"shop/web-0", "Listener", "outbound"},
		{"shop/web-0", "Listener", "outbound|10.2.0.1:80"},
		{"shop/web-0", "Listener", "pods"},
		{"shop/web-0", "Cluster", "pods|bank/ledger"},
	} {
		golden(t, "cluster-"+tt.node, find(t, rendered[tt.node], tt.kind, tt.name))
	}
}

// All pods of a class have the same resources, and what did not change keeps
// its pointer.
func TestPodsOfAClassShareEverything(t *testing.T) {
	m := island()
	r := New(Options{})
	first := r.RenderList(m, islandProxies(m), Epochs{})
	if &first[0][0] != &first[1][0] {
		t.Error("two pods of a class have lists of their own")
	}
	for _, resource := range slices.Concat(first[0], first[1]) {
		if bytes.Contains(resource.Bytes(), []byte("10.1.0.5")) || bytes.Contains(resource.Bytes(), []byte("ledger-0")) {
			t.Errorf("%s says something of a pod of its own class", resource.Name)
		}
	}
	// The class is another one, as it has a pod more, and the addresses are.
	next := island()
	next.Services, next.Policies = m.Services, m.Policies
	for i, w := range next.Workloads {
		w.Ports, w.Policy, w.Reaches, w.ReachesPods = m.Workloads[i].Ports, m.Workloads[i].Policy, m.Workloads[i].Reaches, m.Workloads[i].ReachesPods
	}
	next.Addresses.Outside = append(next.Addresses.Outside, netip.MustParsePrefix("10.1.0.8/32"))
	second := r.RenderList(next, islandProxies(next), Epochs{})
	for node := range first {
		for _, resource := range second[node] {
			if resource.Name == ListenerOutbound != !slices.Contains(first[node], resource) {
				t.Errorf("%s: %s is the same: %v", islandProxies(m)[node].Node, resource.Name, slices.Contains(first[node], resource))
			}
		}
	}
}

// No port that the redirection or the agent uses may be opened by a rule (SP-7).
func TestSidecarPortsAreReserved(t *testing.T) {
	for _, port := range []uint16{sidecar.PortOutbound, sidecar.PortInbound, sidecar.PortMetrics, sidecar.PortHealth, sidecar.PortProbes} {
		if !mesh.OfSidecar(port) {
			t.Errorf("port %d can be opened", port)
		}
	}
}
