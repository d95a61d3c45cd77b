package xds_test

import "testing"

func TestUnsubscribe(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1 b@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a", "b")
	p.expect("RouteConfiguration +a@1 +b@1").ack()
	p.unsubscribe("RouteConfiguration", "a", "never-asked-for")
	p.quiet()

	// Neither a change nor the end of it is told any more.
	f.publish(view("RouteConfiguration a@2 b@2"))
	p.expect("RouteConfiguration +b@2").ack()
	f.publish(view("RouteConfiguration b@2"))
	p.quiet()

	// Asking again begins anew.
	f.publish(view("RouteConfiguration a@2 b@2"))
	p.subscribe("RouteConfiguration", "a")
	p.expect("RouteConfiguration +a@2").ack()
	f.wait()
}

// What is in flight when the proxy loses interest is acknowledged to no effect.
func TestUnsubscribeWhileInFlight(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a")
	reply := p.expect("RouteConfiguration +a@1")
	p.unsubscribe("RouteConfiguration", "a")
	reply.ack()
	p.quiet()
	p.subscribe("RouteConfiguration", "a")
	p.expect("RouteConfiguration +a@1").ack()
}

// Envoy unsubscribes from endpoints as soon as it drops their cluster: the phase
// that waits for them goes on.
func TestUnsubscribeEndsTheWaitForEndpoints(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster +a@1").ack()
	p.subscribe("Listener")
	p.subscribe("ClusterLoadAssignment", "a")
	p.expect("ClusterLoadAssignment +a@1")
	p.quiet()
	p.unsubscribe("ClusterLoadAssignment", "a")
	p.expect("Listener +l@1").ack()
}

// A proxy that gives up a name which is also part of its wildcard has dropped
// the resource, and needs it again.
func TestUnsubscribeNameWithinWildcard(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("Listener", "*", "a", "none")
	p.expect("Listener +a@1 -none").ack()
	p.unsubscribe("Listener", "a", "none")
	p.expect("Listener +a@1 -none").ack()
	p.quiet()
	f.publish(view("Listener a@2"))
	p.expect("Listener +a@2").ack()
	f.publish(view())
	p.expect("Listener -a").ack()
	p.quiet()
}
