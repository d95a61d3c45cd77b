package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/smi-project/smi/internal/render/envoy"
)

// modelProxy is what a proxy keeps, and what it has not answered yet.
type modelProxy struct {
	session  *session
	has      [kindCount]map[string]string
	asked    [kindCount]map[string]bool
	inflight [kindCount]*response
}

func newModelProxy() *modelProxy {
	m := &modelProxy{session: &session{}}
	for k := range kindCount {
		m.has[k], m.asked[k] = map[string]string{}, map[string]bool{}
	}
	return m
}

func (m *modelProxy) request(t *rapid.T, req *discovery.DeltaDiscoveryRequest) {
	if _, err := m.session.request(req); err != nil {
		t.Fatal(err)
	}
}

func (m *modelProxy) subscribe(t *rapid.T, k kind, names ...string) {
	for _, name := range names {
		m.asked[k][name] = true
	}
	m.request(t, &discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[k], ResourceNamesSubscribe: names})
}

func (m *modelProxy) unsubscribe(t *rapid.T, k kind, names ...string) {
	for _, name := range names {
		delete(m.asked[k], name)
		delete(m.has[k], name)
	}
	m.request(t, &discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[k], ResourceNamesUnsubscribe: names})
}

// pull takes every response that the server has to send.
func (m *modelProxy) pull(t *rapid.T, arrived func(*response)) {
	for r := m.session.next(); r != nil; r = m.session.next() {
		if m.inflight[r.kind] != nil {
			t.Fatalf("two responses of %s are in flight", r.kind)
		}
		m.inflight[r.kind] = r
		arrived(r)
	}
}

// wants tells whether a proxy keeps what it is sent of that name.
func (m *modelProxy) wants(k kind, name string) bool { return k.collection() || m.asked[k][name] }

// take applies a resource unless nobody asked for it.
func (m *modelProxy) take(r *response, good func(*envoy.Resource) bool) {
	for _, resource := range r.resources {
		if m.wants(r.kind, resource.Name) && good(resource) {
			m.has[r.kind][resource.Name] = resource.Version
		}
	}
	for _, name := range r.removed {
		delete(m.has[r.kind], name)
	}
}

func (m *modelProxy) answer(t *rapid.T, k kind, refuse bool) {
	req := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[k], ResponseNonce: m.inflight[k].nonce}
	if refuse {
		req.ErrorDetail = &rpcstatus.Status{Message: "broken"}
	}
	m.inflight[k] = nil
	m.request(t, req)
}

// modelResource has a body only where the server reads it.
func modelResource(k kind, name, version string) *envoy.Resource {
	body := []byte{}
	if k == clusters {
		var err error
		if body, err = proto.Marshal(&clusterv3.Cluster{ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}}); err != nil {
			panic(err)
		}
	}
	return &envoy.Resource{Type: typeURLs[k], Name: name, Version: version, Body: [][]byte{body}}
}

// broken is the version that every proxy refuses.
const broken = "broken"

func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", AccessPrefix + "d"}).Draw(t, "name")
}

// Whatever the order of publications, subscriptions, acknowledgements, refusals
// and timeouts: in the end the proxy has what it asked for as far as it exists,
// and keeps the last good version of what it refuses.
func TestConvergence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelProxy()
		answer := func(t *rapid.T, k kind, partly bool) {
			bad := slices.ContainsFunc(m.inflight[k].resources, func(r *envoy.Resource) bool { return r.Version == broken })
			if !bad || partly {
				m.take(m.inflight[k], func(r *envoy.Resource) bool { return r.Version != broken })
			}
			m.answer(t, k, bad)
		}
		pull := func() { m.pull(t, func(*response) {}) }
		drawKind := func(t *rapid.T) kind { return kind(rapid.IntRange(0, int(kindCount)-1).Draw(t, "kind")) }
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { m.session.latest = drawView(t); pull() },
			"subscribe": func(t *rapid.T) {
				k := drawKind(t)
				if k.collection() && m.session.subscriptions[k] == nil {
					m.subscribe(t, k)
				} else if !k.collection() {
					m.subscribe(t, k, drawName(t), drawName(t))
				}
				pull()
			},
			"unsubscribe": func(t *rapid.T) {
				if k := drawKind(t); !k.collection() {
					m.unsubscribe(t, k, drawName(t))
				}
				pull()
			},
			"answer": func(t *rapid.T) {
				if k := drawKind(t); m.inflight[k] != nil {
					answer(t, k, rapid.Bool().Draw(t, "partly"))
				}
				pull()
			},
			"expire": func(*rapid.T) { m.session.expire(m.session.waiting); pull() },
		})
		for k := kind(0); k < kindCount; k++ { // every collection is asked for in the end
			if k.collection() && m.session.subscriptions[k] == nil {
				m.subscribe(t, k)
			}
		}
		m.session.latest = drawView(t)
		for pull(); m.busy(); pull() {
			m.session.expire(m.session.waiting)
			for k := range kindCount {
				if m.inflight[k] != nil {
					answer(t, k, true)
				}
			}
		}
		m.checkConverged(t)
	})
}

func (m *modelProxy) busy() bool {
	return m.session.waiting != waitNothing || slices.ContainsFunc(m.inflight[:], func(r *response) bool { return r != nil })
}

func drawView(t *rapid.T) *View {
	var list []*envoy.Resource
	for k := range kindCount {
		for _, name := range []string{"a", "b", "c", AccessPrefix + "d"} {
			if version := rapid.SampledFrom([]string{"", "1", "2", broken}).Draw(t, "version"); version != "" {
				list = append(list, modelResource(k, name, version))
			}
		}
	}
	return NewView(list)
}

func (m *modelProxy) checkConverged(t *rapid.T) {
	status := ProxyStatus{}
	if settled := m.session.describe(&status); !settled {
		t.Fatalf("not settled: %+v", status)
	}
	refusing := false
	for k := range kindCount {
		for _, r := range m.session.view.lists[k] {
			switch has := m.has[k][r.Name]; {
			case !m.wants(k, r.Name):
			case r.Version == broken:
				refusing = true
				if has == broken {
					t.Fatalf("%s %s: has the broken version", k, r.Name)
				}
			case has != r.Version:
				t.Fatalf("%s %s: has version %q, want %q", k, r.Name, has, r.Version)
			}
		}
	}
	if status.Synced == refusing {
		t.Fatalf("refuses: %v, but %+v", refusing, status)
	}
	for k := range kindCount {
		for name := range m.has[k] {
			if find(m.session.view.lists[k], name) == nil && (!refusing || k == listeners) {
				t.Fatalf("%s %s: was not withdrawn", k, name)
			}
		}
	}
}

// A proxy that behaves as Envoy does, one route and its cluster in each view: at
// no moment does a listener of it have a route to a cluster that it lacks, or to
// one whose endpoints it lacks, whatever comes in between.
func TestMakeBeforeBreakAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelProxy()
		all := func(*envoy.Resource) bool { return true }
		arrived := func(r *response) {
			m.take(r, all)
			for name, target := range m.has[routes] {
				cluster, _, _ := strings.Cut(target, "#")
				served := m.has[listeners][name] != ""
				if served && (m.has[clusters][cluster] == "" || m.has[endpoints][cluster] == "") {
					t.Fatalf("%s arrived, and route %s leads to %s; clusters %v, endpoints %v", r.kind, name, cluster, m.has[clusters], m.has[endpoints])
				}
			}
		}
		// react subscribes as the resources that arrived make a proxy do.
		react := func(t *rapid.T) {
			for _, k := range []kind{clusters, listeners} {
				named := map[kind]kind{clusters: endpoints, listeners: routes}[k]
				for _, name := range slices.Sorted(maps.Keys(m.has[k])) {
					if !m.asked[named][name] {
						m.subscribe(t, named, name)
					}
				}
				for _, name := range slices.Sorted(maps.Keys(m.asked[named])) {
					if m.has[k][name] == "" {
						m.unsubscribe(t, named, name)
					}
				}
			}
		}
		m.session.latest = drawSafeView(t)
		m.subscribe(t, clusters)
		m.subscribe(t, listeners)
		m.pull(t, arrived)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { m.session.latest = drawSafeView(t); m.pull(t, arrived) },
			"react":   func(t *rapid.T) { react(t); m.pull(t, arrived) },
			"answer": func(t *rapid.T) {
				k := kind(rapid.IntRange(0, int(kindCount)-1).Draw(t, "kind"))
				if m.inflight[k] != nil {
					m.answer(t, k, false)
				}
				m.pull(t, arrived)
			},
		})
		for rounds := 0; m.busy(); rounds++ {
			if rounds > 100 {
				t.Fatalf("it never ends, waiting for %s", m.session.waiting)
			}
			react(t)
			for k := range kindCount {
				if m.inflight[k] != nil {
					m.answer(t, k, false)
				}
			}
			m.pull(t, arrived)
		}
		m.checkConverged(t)
	})
}

// drawSafeView has one or two listeners, each with a route of its name that
// leads to a cluster of the view. The version of a route names the cluster.
func drawSafeView(t *rapid.T) *View {
	var list []*envoy.Resource
	for _, name := range []string{"l", "m"}[:rapid.IntRange(1, 2).Draw(t, "listeners")] {
		cluster := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "cluster")
		version := func(what string) string { return fmt.Sprint(rapid.IntRange(1, 2).Draw(t, what)) }
		list = append(list,
			modelResource(clusters, cluster, version("cluster version")), modelResource(endpoints, cluster, version("endpoints version")),
			modelResource(listeners, name, version("listener version")), modelResource(routes, name, cluster+"#"+version("route version")))
	}
	return NewView(list)
}
