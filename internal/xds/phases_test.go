package xds_test

import (
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/xds"
)

// soon makes the server give up quickly on proxies that do not do their part.
func soon(_ *xds.Config, bound *time.Duration) { *bound = 20 * time.Millisecond }

// start takes a proxy through its first configuration: one cluster, its
// endpoints, one listener and its route and extensions.
func start(t *testing.T, f *fixture) *proxy {
	t.Helper()
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@1", "Listener l@1", "RouteConfiguration r@1",
		"TypedExtensionConfig access|l@1 weights@1"))
	p := f.connect()
	p.subscribe("Cluster")
	clusters := p.expect("Cluster +a@1")
	p.subscribe("ClusterLoadAssignment", "a")
	p.expect("ClusterLoadAssignment +a@1").ack()
	clusters.ack()
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()
	p.subscribe("RouteConfiguration", "r")
	p.expect("RouteConfiguration +r@1").ack()
	p.subscribe("TypedExtensionConfig", "access|l", "weights")
	p.expect("TypedExtensionConfig +access|l@1").ack()
	p.expect("TypedExtensionConfig +weights@1").ack()
	f.wait()
	return p
}

// Listeners wait for clusters and endpoints even where the proxy asks for all of
// them at once.
func TestClustersBeforeListeners(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1 static@1", "ClusterLoadAssignment a@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	clusters := p.expect("Cluster +a@1 +static@1")
	p.subscribe("Listener")
	p.quiet()
	clusters.ack()
	p.quiet() // a's endpoints were not asked for yet
	p.subscribe("ClusterLoadAssignment", "a")
	endpoints := p.expect("ClusterLoadAssignment +a@1")
	p.quiet()
	endpoints.ack()
	p.expect("Listener +l@1").ack()
	f.wait()
}

// A route moves from one cluster to another: at no moment does the proxy have a
// route to a cluster without endpoints, or to none.
func TestMakeBeforeBreak(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster b@1", "ClusterLoadAssignment b@1", "Listener l@1", "RouteConfiguration r@2",
		"TypedExtensionConfig access|l@1 weights@2"))
	clusters := p.expect("Cluster +b@1")
	p.quiet()
	p.subscribe("ClusterLoadAssignment", "b")
	endpoints := p.expect("ClusterLoadAssignment +b@1")
	p.quiet()
	endpoints.ack()
	p.quiet()
	clusters.ack()
	routes := p.expect("RouteConfiguration +r@2")
	extensions := p.expect("TypedExtensionConfig +weights@2")
	routes.ack()
	p.quiet()
	extensions.ack()
	withdrawn := p.expect("Cluster -a")
	p.quiet()
	withdrawn.ack()
	p.expect("ClusterLoadAssignment -a").ack()
	p.quiet()
	f.wait()
}

// Access rules wait for nothing but their own type's response in flight (AC-17),
// and share none, so that whatever else is refused does not delay them.
func TestAccessRulesNeverWait(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster a@2", "ClusterLoadAssignment a@1", "Listener l@1", "RouteConfiguration r@1",
		"TypedExtensionConfig access|l@2 weights@2"))
	access := p.expect("TypedExtensionConfig +access|l@2")
	clusters := p.expect("Cluster +a@2")
	endpoints := p.expect("ClusterLoadAssignment +a@1")
	access.ack()
	p.quiet()

	// A further edit of them does not wait for the clusters either.
	f.publish(view("Cluster a@2", "ClusterLoadAssignment a@1", "Listener l@1", "RouteConfiguration r@1",
		"TypedExtensionConfig access|l@3 weights@2"))
	p.expect("TypedExtensionConfig +access|l@3").ack()
	p.quiet()
	endpoints.ack()
	clusters.ack()
	p.expect("TypedExtensionConfig +weights@2").ack()
	f.wait()
}

// Envoy builds a changed cluster anew and waits for its endpoints, before it
// acknowledges the cluster and without asking for what it asked for before.
func TestChangedClusterGetsItsEndpointsAgain(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster a@2", "ClusterLoadAssignment a@1", "Listener l@1", "RouteConfiguration r@2"))
	clusters := p.expect("Cluster +a@2")
	endpoints := p.expect("ClusterLoadAssignment +a@1")
	p.quiet()
	endpoints.ack()
	clusters.ack()
	p.expect("RouteConfiguration +r@2").ack()
	p.expect("TypedExtensionConfig -access|l -weights").ack()
	f.wait()
}

// The same where the cluster has no endpoints at all.
func TestChangedClusterIsToldAgainThatItHasNoEndpoints(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster +a@1").ack()
	p.subscribe("ClusterLoadAssignment", "a")
	p.expect("ClusterLoadAssignment -a").ack()
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()

	f.publish(view("Cluster a@2", "Listener l@2"))
	p.expect("Cluster +a@2").ack()
	endpoints := p.expect("ClusterLoadAssignment -a")
	p.quiet()
	endpoints.ack()
	p.expect("Listener +l@2").ack()
	f.wait()
}

// Endpoints that change beside a route are acknowledged before it is sent.
func TestEndpointsBeforeRoutes(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@2", "Listener l@1", "RouteConfiguration r@2",
		"TypedExtensionConfig access|l@1 weights@1"))
	endpoints := p.expect("ClusterLoadAssignment +a@2")
	p.quiet()
	endpoints.ack()
	p.expect("RouteConfiguration +r@2").ack()
	f.wait()
}

// A proxy that never asks for the endpoints of a cluster does not hold up the
// rest for ever.
func TestEndpointsThatNobodyAsksFor(t *testing.T) {
	f := serve(t, soon)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster +a@1").ack()
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()
	f.wait()
	if log := f.log.String(); !strings.Contains(log, "ClusterLoadAssignment a") {
		t.Errorf("the log does not name what was not asked for:\n%s", log)
	}
}

// The same for clusters that it never acknowledges.
func TestClustersThatAreNeverAcknowledged(t *testing.T) {
	f := serve(t, soon)
	f.publish(view("Cluster static@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	clusters := p.expect("Cluster +static@1")
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()
	clusters.ack()
	f.wait()
}

// Listeners that go included are part of phase 2, before clusters go.
func TestListenersGoBeforeClusters(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	f.publish(view("Cluster b@1"))
	p.expect("Cluster +b@1").ack()
	p.subscribe("ClusterLoadAssignment", "b")
	p.expect("ClusterLoadAssignment -b").ack()
	listeners := p.expect("Listener -l")
	p.quiet()
	listeners.ack()
	p.expect("Cluster -a").ack()
	p.expect("ClusterLoadAssignment -a").ack()
	p.expect("RouteConfiguration -r").ack()
	p.expect("TypedExtensionConfig -access|l -weights").ack()
	f.wait()
}

// A new listener takes over only once it has its route, so what the old one used
// is withdrawn after that.
func TestWithdrawalWaitsForNewSubscriptions(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	next := view("Cluster b@1", "ClusterLoadAssignment b@1", "Listener l@2", "RouteConfiguration s@1",
		"TypedExtensionConfig access|l@1 weights@1")
	f.publish(next)
	p.expect("Cluster +b@1").ack()
	p.subscribe("ClusterLoadAssignment", "b")
	p.expect("ClusterLoadAssignment +b@1").ack()
	p.expect("Listener +l@2").ack()
	p.quiet()
	p.subscribe("RouteConfiguration", "s")
	route := p.expect("RouteConfiguration +s@1")
	p.unsubscribe("RouteConfiguration", "r")
	p.quiet()
	route.ack()
	p.expect("Cluster -a").ack()
	p.unsubscribe("ClusterLoadAssignment", "a")
	p.expect("ClusterLoadAssignment -a").ack()
	f.wait()
}

// A resource that nothing refers to does not hold back withdrawals for ever, and
// is not waited for again.
func TestResourcesThatNobodyAsksFor(t *testing.T) {
	f := serve(t, soon)
	f.publish(view("Listener l@1", "RouteConfiguration unused@1", "Cluster static@1 old-static@1"))
	p := f.connect()
	p.resume("Cluster", map[string]string{"static": "1", "gone": "1"})
	p.expect("Cluster +old-static@1").ack()
	p.subscribe("ClusterLoadAssignment", "old-static")
	p.expect("ClusterLoadAssignment -old-static").ack()
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()
	p.expect("Cluster -gone").ack()
	f.wait()
	if log := f.log.String(); !strings.Contains(log, "RouteConfiguration unused") {
		t.Errorf("the log does not name what was not asked for:\n%s", log)
	}
}

// What nothing refers to any more is kept for a proxy that has asked for it, and
// not waited for; when something refers to it again, it is.
func TestSpareResources(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	const rest = "ClusterLoadAssignment a@1 b@1"
	f.publish(view("Cluster b@1", rest, "Listener l@2", "RouteConfiguration r@1", "TypedExtensionConfig access|l@1? access|new@1? weights@1"))
	p.expect("Cluster +b@1").ack()
	p.subscribe("ClusterLoadAssignment", "b")
	p.expect("ClusterLoadAssignment +b@1").ack()
	p.expect("Listener +l@2").ack()
	p.expect("Cluster -a").ack()
	f.wait()

	f.publish(view("Cluster a@1", rest, "Listener l@3", "RouteConfiguration r@1", "TypedExtensionConfig access|l@2? access|new@1 weights@1"))
	p.expect("TypedExtensionConfig +access|l@2").ack()
	p.expect("Cluster +a@1").ack()
	p.expect("ClusterLoadAssignment +a@1").ack()
	p.expect("Listener +l@3").ack()
	p.quiet()
	p.subscribe("TypedExtensionConfig", "access|new")
	p.expect("TypedExtensionConfig +access|new@1").ack()
	p.expect("Cluster -b").ack()
	f.wait()
}
