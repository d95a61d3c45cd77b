package xds_test

import "testing"

// What is published while a response is in flight is merged into the next one.
func TestNewerViewsMerge(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1"))
	p := f.connect()
	p.subscribe("Listener")
	inflight := p.expect("Listener +a@1 +b@1")
	f.publish(view("Listener a@2 b@1"))
	f.publish(view("Listener a@3 b@1 c@1"))
	f.publish(view("Listener a@4 c@2"))
	p.quiet()
	inflight.ack()
	p.expect("Listener +a@4 +c@2 -b").ack()
	p.quiet()
	f.wait()
}

// A change that is taken back while it waits is never sent.
func TestChangeAndBack(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1", "Cluster static@1"))
	p := f.connect()
	p.subscribe("Cluster")
	inflight := p.expect("Cluster +static@1")
	f.publish(view("Cluster static@2"))
	f.publish(view("Cluster static@1"))
	inflight.ack()
	p.quiet()
	f.wait()
}

// A newer view that arrives in the middle of a push brings phases of its own:
// the route of the older one, whose cluster is not needed any more, never goes
// out.
func TestNewerViewInTheMiddleOfAPush(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	common := []string{"Listener l@1", "TypedExtensionConfig access|l@1 weights@1"}
	f.publish(view(append(common, "Cluster a@1 b@1", "ClusterLoadAssignment a@1 b@1", "RouteConfiguration r@2")...))
	b := p.expect("Cluster +b@1")

	f.publish(view(append(common, "Cluster a@1 c@1", "ClusterLoadAssignment a@1 c@1", "RouteConfiguration r@3")...))
	p.quiet()
	b.ack()
	c := p.expect("Cluster +c@1")
	p.subscribe("ClusterLoadAssignment", "c", "b")
	p.expect("ClusterLoadAssignment +c@1 -b").ack()
	p.quiet()
	c.ack()
	p.expect("RouteConfiguration +r@3").ack()
	p.expect("Cluster -b").ack()
	p.quiet()
	f.wait()
}

// Endpoints that keep changing while a push is under way are sent, and do not
// hold up its routes.
func TestEndpointChurnDoesNotHoldUpRoutes(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	common := []string{"Listener l@1", "RouteConfiguration r@2", "TypedExtensionConfig access|l@1 weights@1"}
	f.publish(view(append(common, "Cluster a@1 static@1", "ClusterLoadAssignment a@1")...))
	clusters := p.expect("Cluster +static@1")
	f.publish(view(append(common, "Cluster a@1 static@1", "ClusterLoadAssignment a@2")...))
	endpoints := p.expect("ClusterLoadAssignment +a@2")
	clusters.ack()
	p.expect("RouteConfiguration +r@2").ack()
	f.publish(view(append(common, "Cluster a@1 static@1", "ClusterLoadAssignment a@3")...))
	endpoints.ack()
	p.expect("ClusterLoadAssignment +a@3").ack()
	f.wait()
}

// A cluster that was changed and then left the view before its endpoints went
// out again still gets them: routes lead to it until they have moved.
func TestClusterOnItsWayOutKeepsItsEndpoints(t *testing.T) {
	f := serve(t)
	p := start(t, f)
	common := []string{"Listener l@1", "TypedExtensionConfig access|l@1 weights@1"}
	f.publish(view(append(common, "Cluster a@1", "ClusterLoadAssignment a@2", "RouteConfiguration r@1")...))
	endpoints := p.expect("ClusterLoadAssignment +a@2")
	f.publish(view(append(common, "Cluster a@2", "ClusterLoadAssignment a@2", "RouteConfiguration r@1")...))
	a := p.expect("Cluster +a@2")
	f.publish(view(append(common, "Cluster b@1", "ClusterLoadAssignment b@1", "RouteConfiguration r@2")...))
	p.quiet()
	endpoints.ack()
	p.expect("ClusterLoadAssignment +a@2").ack()
	a.ack()
	p.expect("Cluster +b@1").ack()
	p.subscribe("ClusterLoadAssignment", "b")
	p.expect("ClusterLoadAssignment +b@1").ack()
	p.expect("RouteConfiguration +r@2").ack()
	p.expect("Cluster -a").ack()
	p.expect("ClusterLoadAssignment -a").ack()
	f.wait()
}
