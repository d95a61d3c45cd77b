//go:build linux

package live_test

import (
	"fmt"
	"testing"
	"time"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/mesh"
)

const (
	// shortLife has certificates renewed after a bit more than five seconds.
	shortLife = 8 * time.Second
	// certificates is how many each sidecar must have had.
	certificates = 4
)

// rotateUnderLoad loads the mesh with 2,000 operations a second while
// every sidecar's certificate is renewed several times, and while grants come
// and go that do not concern the client (AC-17). None fails, and no connection
// is closed. It lasts longer than the drain time, so that connections which the
// first of these changes had condemned would be seen to end.
func rotateUnderLoad(t *testing.T) {
	r := canaries(t, rig.Options{TTL: shortLife})
	r.Store.Put(splitsOf(weights{1, 1}, weights{1, 1})...)
	r.Store.Put(newGroup(in("shop", "some"), specs.HTTPMatch{Name: "some", PathRegex: "/some"}))
	r.Settle()
	updates := inPlaceUpdates(t, r)

	l := everyKind(r)
	l.run()
	held := map[string]map[string]bool{}
	rounds := 0
	disturbGrants(r, rounds)
	rounds++
	enough := l.now() + (envoy.DrainSeconds+2)*time.Second
	for l.now() < enough {
		disturbGrants(r, rounds)
		rounds++
		for name, pod := range r.Pods {
			if held[name] == nil {
				held[name] = map[string]bool{}
			}
			held[name][pod.Serial(t)] = true
		}
		<-time.After(200 * time.Millisecond)
	}
	l.report(t, l.stop())
	checkBackends(t, l)

	for name, serials := range held {
		t.Logf("%s had %d certificates", name, len(serials))
		if len(serials) < certificates {
			t.Errorf("%s had %d certificates, so rotation was not tested; want %d", name, len(serials), certificates)
		}
	}
	updates = inPlaceUpdates(t, r) - updates
	t.Logf("%d times were unrelated grants added and removed; listeners were updated %d times", rounds, updates)
	if updates == 0 {
		t.Error("no grant has changed a listener, so their withdrawal was not tested")
	}
}

// disturbGrants gives other sources something at the client's destinations, by
// targets of their own and by the client's, and takes it away.
func disturbGrants(r *rig.Rig, round int) {
	stranger := mesh.Account{Namespace: "elsewhere", Name: fmt.Sprintf("stranger-%d", round%3)}
	rule := byTCPRoute("all")
	if round%2 == 0 {
		rule = byGroup("some")
	}
	var own, shared, alone []*access.TrafficTarget
	for _, app := range []string{"v1", "v2"} {
		own = append(own, newTarget(in("shop", "stranger-"+app), app, []mesh.Account{stranger}, rule))
		client := mesh.Account{Namespace: "shop", Name: "client"}
		shared = append(shared, newTarget(in("shop", "client-"+app), app, []mesh.Account{client, stranger}, byTCPRoute("all")))
		alone = append(alone, newTarget(in("shop", "client-"+app), app, []mesh.Account{client}, byTCPRoute("all")))
	}
	for i := range own {
		r.Store.Put(own[i], shared[i])
	}
	r.Settle()
	for i := range own {
		r.Store.Delete(own[i])
		r.Store.Put(alone[i])
	}
	r.Settle()
}

// inPlaceUpdates counts how often filter chains of any listener were replaced.
func inPlaceUpdates(t *testing.T, r *rig.Rig) uint64 {
	t.Helper()
	var sum uint64
	for _, pod := range r.Pods {
		sum += pod.Stat(t, "listener_manager.listener_in_place_updated")
	}
	return sum
}
