package envoy

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/mesh"
)

// What did not change keeps its pointer; what changed is exactly what depends
// on it.
func TestRenderKeepsWhatDidNotChange(t *testing.T) {
	m, proxies := city(60)
	r := New(Options{})
	before := r.Render(m, proxies, Epochs{})
	if again := r.Render(m, proxies, Epochs{}); !sameResources(before, again) {
		t.Error("an unchanged mesh was rendered anew")
	}
	if fresh := New(Options{}).Render(m, proxies, Epochs{}); !slices.Equal(versions(fresh), versions(before)) {
		t.Error("two renderers disagree on one mesh")
	}
	changed, next := changeSplit(m, proxies, 77)
	after := r.Render(changed, next, Epochs{})
	for i, p := range next {
		same := slices.Equal(before[p.Node], after[p.Node])
		if reaches := p.Workload != proxies[i].Workload; same == reaches {
			t.Errorf("%s reaches the changed split: %v, its resources are the same: %v", p.Node, reaches, same)
		}
	}
	if fresh := New(Options{}).Render(changed, next, Epochs{}); !slices.Equal(versions(fresh), versions(after)) {
		t.Error("what was remembered is not what the mesh says")
	}
	bumped := Epochs{}.Bump(proxies[3].Workload.Account, 8080, proxies[3].Workload.Policy.Grants[0].Sources[0])
	var names []string
	for _, p := range next {
		for _, res := range r.Render(changed, next, bumped)[p.Node] {
			if !slices.Contains(after[p.Node], res) {
				names = append(names, p.Node+" "+res.Name)
			}
		}
	}
	if want := []string{proxies[3].Node + " inbound|8080"}; !slices.Equal(names, want) {
		t.Errorf("an epoch changed %v, want %v", names, want)
	}
}

// A backend of a split that the class is not granted has endpoints too.
func TestRenderSeesBackendsOutsideOfTheClass(t *testing.T) {
	w := &town{mode: mesh.Strict, grants: webGrants(), address: fixedAddress(10)}
	m := w.mesh()
	var proxies []Proxy
	for _, p := range w.proxies(m) {
		if p.Workload.Account == cart {
			reduced := *p.Workload
			reduced.Reaches = []*mesh.ServicePort{m.Service(mesh.Name{Namespace: "bank", Name: "ledger"}).Ports[0]}
			p.Workload, p.Placement.Upstreams = &reduced, nil
			proxies = append(proxies, p)
		}
	}
	r := New(Options{})
	const name = "outbound|80|canary.bank"
	first := find(t, r.Render(m, proxies, Epochs{})[cart.String()], "ClusterLoadAssignment", name)
	backend := *m.Services[0].Ports[0]
	backend.Endpoints = nil
	services := slices.Clone(m.Services)
	services[0] = &mesh.Service{Name: backend.Service, Ports: []*mesh.ServicePort{&backend}}
	next := mesh.New(testDomain, services, m.Workloads, m.Policies, nil)
	if second := find(t, r.Render(next, proxies, Epochs{})[cart.String()], "ClusterLoadAssignment", name); second.Version == first.Version {
		t.Error("the backend's endpoints went unnoticed")
	}
}

func TestRenderForgets(t *testing.T) {
	r := New(Options{})
	most := 0
	for i := range 40 {
		m, proxies := city(50)
		r.Render(m, proxies[:40+i%10], Epochs{})
		most = max(most, len(r.access.entries))
	}
	if most > 2000 || len(r.nodes) > 50 {
		t.Errorf("%d rules and %d nodes are remembered", most, len(r.nodes))
	}
}

// Two Services or more of any names give each proxy no name twice.
func TestNamesAreUnique(t *testing.T) {
	w := &town{mode: mesh.Strict, grants: webGrants(), address: fixedAddress(10), weight: 10}
	m := w.mesh()
	for node, resources := range New(Options{}).Render(m, w.proxies(m), Epochs{}) {
		seen := map[string]bool{}
		for _, r := range resources {
			if key := r.Type + " " + r.Name; seen[key] {
				t.Errorf("%s gets %s twice", node, key)
			}
			seen[r.Type+" "+r.Name] = true
		}
	}
}

// What a proxy is expected to ask for is referred to by something that it has, and
// what is spare is not: nobody ever asks for what nothing refers to, and a push waits
// for that in vain.
func TestExtensionsAreAskedForOrSpare(t *testing.T) {
	w := &town{mode: mesh.Strict, grants: webGrants(), address: fixedAddress(10), weight: 10, tcpSplit: true}
	there, here := w.mesh(), island()
	here.Workloads[0].Ports = append(here.Workloads[0].Ports,
		mesh.InboundPort{Number: portHTTP, Protocol: mesh.HTTP}, mesh.InboundPort{Number: portHTTP + 1, Protocol: mesh.Undeclared})
	for node, resources := range map[string]map[string][]*Resource{
		"standalone": New(Options{}).Render(there, w.proxies(there), Epochs{}.Bump(ledger, portHTTP, principal(web))),
		"cluster":    New(Options{}).Render(here, islandProxies(here), Epochs{}),
	} {
		spare := 0
		for id, list := range resources {
			for _, r := range list {
				if !strings.HasSuffix(r.Type, ".TypedExtensionConfig") {
					continue
				}
				if r.Spare {
					spare++
				}
				if asked := referredTo(r.Name, list); asked == r.Spare {
					t.Errorf("%s: %s of %s: spare %t, referred to %t", node, r.Name, id, r.Spare, asked)
				}
			}
		}
		if spare == 0 {
			t.Errorf("%s: nothing is spare, so the world tells nothing of it", node)
		}
	}
}

// referredTo tells whether a resource other than those of that name has the name in
// it, as a field of its own.
func referredTo(name string, list []*Resource) bool {
	field := protowire.AppendString(nil, name)
	return slices.ContainsFunc(list, func(r *Resource) bool { return r.Name != name && bytes.Contains(r.Bytes(), field) })
}

func TestScaledWeights(t *testing.T) {
	for _, tt := range []struct{ weights, want []uint32 }{
		{[]uint32{1, 2, 0}, []uint32{1, 2, 0}},
		{[]uint32{math.MaxUint32, math.MaxUint32}, []uint32{math.MaxUint32 / 2, math.MaxUint32 / 2}},
		{[]uint32{math.MaxUint32, 1}, nil},
		{[]uint32{math.MaxUint32, math.MaxUint32, math.MaxUint32, 1, 1}, nil},
	} {
		split := &mesh.Split{}
		for _, w := range tt.weights {
			split.Backends = append(split.Backends, mesh.Backend{Weight: w})
		}
		got := scaledWeights(split)
		total := uint64(0)
		for i, w := range got {
			total += uint64(w)
			if (w == 0) != (tt.weights[i] == 0) {
				t.Errorf("%v became %v", tt.weights, got)
			}
			if share, want := float64(w)/float64(math.MaxUint32), float64(tt.weights[i])/float64(split.TotalWeight()); split.TotalWeight() > math.MaxUint32 && math.Abs(share-want) > 1e-8 {
				t.Errorf("%v became %v: share %g, want %g", tt.weights, got, share, want)
			}
		}
		if total > math.MaxUint32 || (tt.want != nil && tt.want[0] < math.MaxUint32/2 && !slices.Equal(got, tt.want)) {
			t.Errorf("%v became %v, total %d", tt.weights, got, total)
		}
	}
}

// Pieces joined must read as the message that they stand for.
func TestPieces(t *testing.T) {
	first := &listenerv3.FilterChain{Name: "a"}
	second := &listenerv3.FilterChain{FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "tls"}}
	l := &listenerv3.Listener{Name: "l"}
	got := &listenerv3.Listener{}
	joined := withChains(l, []chain{{newPiece(first), newPiece(second)}, {newPiece(second), newPiece(first)}})
	if err := proto.Unmarshal(joined.bytes(), got); err != nil {
		t.Fatal(err)
	}
	both := &listenerv3.FilterChain{Name: "a", FilterChainMatch: second.FilterChainMatch}
	if want := (&listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{both, both}}); !proto.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
	if withChains(l, []chain{{newPiece(first), newPiece(second)}}).sum == withChains(l, []chain{{newPiece(second), newPiece(second)}}).sum {
		t.Error("different pieces have one digest")
	}
}

func sameResources(a, b map[string][]*Resource) bool {
	if len(a) != len(b) {
		return false
	}
	for node, list := range a {
		if !slices.Equal(list, b[node]) {
			return false
		}
	}
	return true
}

func versions(rendered map[string][]*Resource) []string {
	var out []string
	for node, list := range rendered {
		for _, r := range list {
			out = append(out, node+" "+r.Type+" "+r.Name+" "+r.Version)
		}
	}
	slices.Sort(out)
	return out
}
