//go:build linux

package live_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/smi-project/smi/conformance/share"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// weights are those of a split's two backends.
type weights [2]int

// arrival is how long a change may take to reach every worker of a proxy that
// has acknowledged it (AC-17).
const arrival = time.Second

// heldWeights stay long enough to be measured, the first of each pair for HTTP
// and the second for TCP. The backend that gets nothing must get nothing.
var heldWeights = [][2]weights{
	{{50, 50}, {900, 100}},
	{{99, 1}, {1, 2}},
	{{1, 2}, {0, 5}},
	{{0, 7}, {50, 50}},
	{{250, 750}, {3, 1}},
}

const (
	changes = 50
	// observed is how long weights that are held are looked at, once they have
	// had the time to reach every worker.
	observed = 1800 * time.Millisecond
	loadTime = 20 * time.Second
)

// Kinds of operations.
const (
	httpByProxy   = "HTTP by the proxy"
	httpByAddress = "HTTP by the address of the Service"
	tcpShort      = "short TCP connections"
	tcpHeld       = "lines over held TCP connections"
)

// canaries is a mesh with a client, a root pod that no request must reach, and
// two versions that the splits of an HTTP and of a TCP port choose from.
func canaries(t *testing.T, options rig.Options) *rig.Rig {
	t.Helper()
	r := rig.Start(t, []rig.Slot{
		{Namespace: "shop", Name: "client-0", ServiceAccount: "client"},
		{Namespace: "shop", Name: "root-0", ServiceAccount: "root", Labels: map[string]string{"app": "root"}, Ports: []uint16{8080, 7000}},
		{Namespace: "shop", Name: "v1-0", ServiceAccount: "v1", Labels: map[string]string{"app": "v1"}, Ports: []uint16{8080, 7000}},
		{Namespace: "shop", Name: "v2-0", ServiceAccount: "v2", Labels: map[string]string{"app": "v2"}, Ports: []uint16{8080, 7000}},
	}, options)
	objects := newAccounts("shop", "client", "root", "v1", "v2")
	for _, app := range []string{"root", "v1", "v2"} {
		objects = append(objects,
			newService(in("shop", "web-"+app), app, newPort("http", 80, 8080)), newService(in("shop", "db-"+app), app, newPort("tcp", 7000, 7000)),
			newTarget(in("shop", "client-"+app), app, []mesh.Account{{Namespace: "shop", Name: "client"}}, byTCPRoute("all")))
	}
	objects = append(objects, newTCPRoute(in("shop", "all")),
		newService(in("shop", "web"), "root", newPort("http", 80, 8080)), newService(in("shop", "db"), "root", newPort("tcp", 7000, 7000)))
	r.Apply(append(objects, splitsOf(weights{1, 0}, weights{1, 0})...)...)
	return r
}

func splitsOf(web, db weights) []store.Object {
	return []store.Object{
		newSplit(in("shop", "web"), [2]string{"web-v1", "web-v2"}, web), newSplit(in("shop", "db"), [2]string{"db-v1", "db-v2"}, db),
	}
}

// everyKind is a load of 2,100 operations a second from the client: 1,500
// requests over 50 connections that stay, 200 connections for one line each,
// and 400 lines over 40 connections that stay.
func everyKind(r *rig.Rig) *load {
	client := r.Pods["shop/client-0"]
	web, db := client.Upstream("shop", "web", 80), client.Upstream("shop", "db", 7000)
	l := &load{}
	l.add(httpByProxy, 750, 25, func(int) func() (string, error) { return keepAlive(client.Proxy(), "web.shop") })
	l.add(httpByAddress, 750, 25, func(int) func() (string, error) { return keepAlive(web, "web.shop") })
	l.add(tcpShort, 200, 10, func(int) func() (string, error) { return shortTCP(db) })
	l.add(tcpHeld, 400, 40, func(int) func() (string, error) { return heldTCP(db) })
	return l
}

// span is a time in which known weights held.
type span struct {
	from, to time.Duration
	web, db  weights
}

// changeWeightsUnderLoad is TS-11: 50 changes of an HTTP split and of a TCP split
// under 2,000 operations a second fail not one and close no connection.
func changeWeightsUnderLoad(t *testing.T) {
	r := canaries(t, rig.Options{})
	before := listenerChanges(t, r)
	l := everyKind(r)
	l.run()
	spans, settled := changeWeights(r, l)
	<-time.After(loadTime - l.now())
	l.report(t, l.stop())
	t.Logf("%d changes of both splits; they were acknowledged within: %s", len(settled), quantiles(settled))

	// Were a listener or a filter chain replaced, its connections would be
	// closed after the drain time, when the test is over.
	if after := listenerChanges(t, r); !maps.Equal(before, after) {
		t.Errorf("weights have changed listeners, which closes connections: %v before, %v after", before, after)
	}
	checkBackends(t, l)
	checkShares(t, l, spans)
}

// changeWeights changes both splits again and again, and returns when which
// weights held and how long each change took until it was acknowledged.
func changeWeights(r *rig.Rig, l *load) ([]span, []time.Duration) {
	dice := rand.New(rand.NewPCG(1, 11))
	var spans []span
	var settled []time.Duration
	change := func(web, db weights) {
		started := l.now()
		r.Store.Put(splitsOf(web, db)...)
		r.Settle()
		settled = append(settled, l.now()-started)
	}
	for i := range changes {
		if i%(changes/len(heldWeights)) != 0 {
			change(weights{dice.IntN(100), 1 + dice.IntN(100)}, weights{1 + dice.IntN(100), dice.IntN(100)})
			<-time.After(100 * time.Millisecond)
			continue
		}
		hold := heldWeights[len(spans)]
		change(hold[0], hold[1])
		from := l.now() + arrival
		<-time.After(arrival + observed)
		spans = append(spans, span{from: from, to: l.now(), web: hold[0], db: hold[1]})
	}
	return spans, settled
}

// listenerChanges counts what each sidecar did to its listeners.
func listenerChanges(t *testing.T, r *rig.Rig) map[string]uint64 {
	t.Helper()
	changes := map[string]uint64{}
	for name, pod := range r.Pods {
		for _, stat := range []string{"listener_added", "listener_modified", "listener_removed", "listener_in_place_updated", "total_listeners_draining", "total_filter_chains_draining"} {
			changes[name+" "+stat] = pod.Stat(t, "listener_manager."+stat)
		}
	}
	return changes
}

// checkBackends sees that no operation reached anything but the two versions,
// not even for the moment of a change.
func checkBackends(t *testing.T, l *load) {
	t.Helper()
	elsewhere := map[string]int{}
	for _, n := range l.lanes {
		for _, s := range n.samples {
			if s.err == nil && s.backend != "shop/v1-0" && s.backend != "shop/v2-0" {
				elsewhere[s.backend]++
			}
		}
	}
	if len(elsewhere) > 0 {
		t.Errorf("operations left their split: %v", elsewhere)
	}
}

// checkShares compares the shares while weights were held with the weights.
//
// Envoy chooses a backend for each request and each connection by a random
// number of its own, so of n operations the first backend gets a number X of
// the binomial distribution B(n, p), p being its part of the weights. A
// comparison fails where P(X <= observed) or P(X >= observed) is below
// share.FalseAlarm/(2k), k being the number of comparisons: each fails by chance with
// probability share.FalseAlarm/k at most, and all together (Boole's inequality) with
// share.FalseAlarm. What it sees, for n = 1350 and p = 1/2, is a deviation of about
// 5.4 standard deviations, which are 7 points in a hundred. Operations count
// that were sent and answered in the time; which backend they reach changes
// nothing of that.
func checkShares(t *testing.T, l *load, spans []span) {
	t.Helper()
	kinds := []string{httpByProxy, httpByAddress, tcpShort}
	alarm := share.FalseAlarm / float64(len(kinds)*len(spans))
	for _, s := range spans {
		for _, kind := range kinds {
			w := s.web
			if kind == tcpShort {
				w = s.db
			}
			n, first := 0, 0
			for _, lane := range l.lanes {
				for _, o := range lane.samples {
					if lane.kind == kind && o.err == nil && o.sent >= s.from && o.done <= s.to {
						n++
						if o.backend == "shop/v1-0" {
							first++
						}
					}
				}
			}
			p := float64(w[0]) / float64(w[0]+w[1])
			figures := fmt.Sprintf("%s at %d:%d: %d of %d (%.1f %%, wanted %.1f %%)", kind, w[0], w[1], first, n, 100*float64(first)/float64(n), 100*p)
			t.Log(figures)
			if n < 100 {
				t.Errorf("too few to tell: %s", figures)
			} else if !share.Fits(n, first, p, alarm) {
				t.Errorf("these are other weights: %s", figures)
			}
		}
	}
}
