package xds_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/internal/xds"
)

// A refused version is not sent again until it changes; everything else is.
func TestNackKeepsTheLastGood(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1 +b@1").ack()

	f.publish(view("Listener a@2 b@1"))
	p.expect("Listener +a@2").nack("a is broken")
	p.quiet()
	f.publish(view("Listener a@2 b@2"))
	p.expect("Listener +b@2").ack()
	p.quiet()

	// The last good one is what the proxy has.
	f.publish(view("Listener a@1 b@2"))
	p.quiet()
	f.wait()

	// The refused version counts as new after that.
	f.publish(view("Listener a@2 b@2"))
	p.expect("Listener +a@2").nack("a is broken")
	f.publish(view("Listener a@3 b@2"))
	p.expect("Listener +a@3").ack()
	f.wait()
}

// The first version of a resource may be refused too. It is not withdrawn when
// it goes, since the proxy never had it.
func TestNackOfANewResource(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1").nack("broken")
	p.quiet()
	f.publish(view())
	p.quiet()
	f.wait()
}

// Of several resources in a response the culprit is found by halves, and the
// others are accepted.
func TestNackFindsTheCulprit(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1 b@1 c@1 d@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a", "b", "c", "d")
	p.expect("RouteConfiguration +a@1 +b@1 +c@1 +d@1").nack("c is broken")
	p.expect("RouteConfiguration +a@1 +b@1").ack()
	p.expect("RouteConfiguration +c@1 +d@1").nack("c is broken")
	p.expect("RouteConfiguration +c@1").nack("c is broken")
	p.expect("RouteConfiguration +d@1").ack()
	p.quiet()
	if got := f.Refusals(); len(got) != 1 || got[0].Name != "c" {
		t.Fatalf("refusals: %+v", got)
	}

	// Later changes go out together again.
	f.publish(view("RouteConfiguration a@2 b@2 c@2 d@2"))
	p.expect("RouteConfiguration +a@2 +b@2 +c@2 +d@2").ack()
	p.quiet()
	f.wait()
}

// A proxy that refused part of a response may have taken the rest of it (Envoy
// does so for clusters and listeners), so all of it is sent again even if the
// view goes back to what the proxy had.
func TestNackOfSeveralLeavesDoubt(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1 +b@1").ack()
	f.publish(view("Listener a@2 b@2"))
	reply := p.expect("Listener +a@2 +b@2")
	f.publish(view("Listener a@1 b@1"))
	reply.nack("one of them is broken")
	p.expect("Listener +a@1").ack()
	p.expect("Listener +b@1").ack()
	f.wait()
}

// A refused cluster does not hold up the rest, but nothing is withdrawn that the
// proxy's last good configuration may need.
func TestNackWithholdsWithdrawals(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster b@1", "ClusterLoadAssignment b@1", "Listener l@1", "RouteConfiguration r@2",
		"TypedExtensionConfig access|l@1 weights@1"))
	p.expect("Cluster +b@1").nack("b is broken")
	p.expect("RouteConfiguration +r@2").ack()
	p.quiet()

	f.publish(view("Cluster b@2", "ClusterLoadAssignment b@1", "Listener l@1", "RouteConfiguration r@2",
		"TypedExtensionConfig access|l@1 weights@1"))
	p.expect("Cluster +b@2").ack()
	p.subscribe("ClusterLoadAssignment", "b")
	p.expect("ClusterLoadAssignment +b@1").ack()
	p.expect("Cluster -a").ack()
	p.expect("ClusterLoadAssignment -a").ack()
	f.wait()
}

// Refused endpoints do not hold up the rest either.
func TestNackOfEndpoints(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster +a@1").ack()
	p.subscribe("Listener")
	p.subscribe("ClusterLoadAssignment", "a")
	p.expect("ClusterLoadAssignment +a@1").nack("broken")
	p.expect("Listener +l@1").ack()
	p.quiet()
}

// A proxy that asks for a refused resource anew waits for an answer, and gets it.
func TestNackAndSubscribeAgain(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a")
	p.expect("RouteConfiguration +a@1").nack("broken")
	p.quiet()
	p.subscribe("RouteConfiguration", "a")
	p.expect("RouteConfiguration +a@1").ack()
	f.wait()
}

// Refusals are counted over all proxies, logged once per version with Envoy's
// reason, and shown until another version takes their place.
func TestRefusals(t *testing.T) {
	f := serve(t)
	both := func(v *xds.View) { f.Publish(map[string]*xds.View{"ns/pod": v, "ns/second": v}) }
	both(view("Listener a@1"))
	first, second := f.connect(), f.connectAs("ns/second", "spiffe://cluster.local/ns/ns/sa/pod")
	for _, p := range []*proxy{first, second} {
		p.subscribe("Listener")
		p.expect("Listener +a@1").ack()
	}
	both(view("Listener a@2"))
	for _, p := range []*proxy{first, second} {
		p.expect("Listener +a@2").nack("address is in use")
		p.quiet()
	}
	want := []xds.Refusal{{
		Type: typeURLs["Listener"], Name: "a", Version: "2", Reason: "address is in use", Count: 2, Proxies: []string{"ns/pod", "ns/second"},
	}}
	if diff := cmp.Diff(want, f.Refusals()); diff != "" {
		t.Fatal(diff)
	}
	const message = "the proxy (and 1 more) refuses Listener a and keeps its last good configuration: address is in use"
	if got := f.Refusals()[0].Finding(); got.Message != message || got.Object.String() != "Pod ns/pod" {
		t.Errorf("finding: %+v", got)
	}
	if n := strings.Count(f.log.String(), "address is in use"); n != 1 {
		t.Errorf("the refusal was logged %d times, want once:\n%s", n, f.log)
	}
	// Waiting ends when all else was acknowledged.
	for _, node := range []string{"ns/pod", "ns/second"} {
		if err := f.Wait(context.Background(), node); err == nil || !strings.Contains(err.Error(), "proxy "+node+": Listener a refused: address is in use") {
			t.Errorf("Wait returned %v", err)
		}
	}
	if status := f.Status(); status[0].LastError != "Listener a refused: address is in use" || status[0].Synced || status[0].Pending != 0 {
		t.Errorf("status: %+v", status[0])
	}

	both(view("Listener a@3"))
	for _, p := range []*proxy{first, second} {
		p.expect("Listener +a@3").ack()
	}
	f.wait()
	second.quiet()
	if got := f.Refusals(); len(got) != 0 {
		t.Errorf("refusals after the fix: %+v", got)
	}
}

// A reason of any length is cut before it is kept.
func TestLongReason(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1").nack(strings.Repeat("ü", 10_000))
	p.quiet()
	if got := f.Refusals()[0].Reason; len(got) > 1100 || !strings.HasSuffix(got, "ü...") {
		t.Errorf("the reason has %d bytes", len(got))
	}
}

// Envoy may refuse a response before it applies anything of it, so what it was
// to drop is told again.
func TestNackRepeatsWithdrawals(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1 +b@1").ack()
	f.publish(view("Listener b@2"))
	p.expect("Listener +b@2 -a").nack("b is broken")
	p.expect("Listener -a").ack()
	p.quiet()
}
