package xds_test

import "testing"

func TestNamedSubscriptions(t *testing.T) {
	for _, kind := range []string{"ClusterLoadAssignment", "RouteConfiguration", "TypedExtensionConfig", "Secret"} {
		t.Run(kind, func(t *testing.T) {
			f := serve(t)
			f.publish(view(kind + " a@1 b@1 c@1"))
			p := f.connect()
			p.subscribe(kind, "a", "b")
			p.expect(kind + " +a@1 +b@1").ack()

			// What was not asked for is not sent.
			f.publish(view(kind + " a@1 b@2 c@2"))
			p.expect(kind + " +b@2").ack()
			p.quiet()

			// A name that the proxy asks for again is sent again: it may have dropped it.
			p.subscribe(kind, "a", "c")
			p.expect(kind + " +a@1 +c@2").ack()
			p.quiet()
		})
	}
}

// Envoy waits for the endpoints that it asked for, so it is told which do not
// exist.
func TestUnknownEndpointsAreAnsweredAsAbsent(t *testing.T) {
	f := serve(t)
	f.publish(view("ClusterLoadAssignment a@1"))
	p := f.connect()
	p.subscribe("ClusterLoadAssignment", "none", "a")
	p.expect("ClusterLoadAssignment +a@1 -none").ack()
	p.quiet()

	// It is told once, and again if it asks again.
	f.publish(view("ClusterLoadAssignment a@1", "Listener l@1"))
	p.quiet()
	p.subscribe("ClusterLoadAssignment", "none")
	p.expect("ClusterLoadAssignment -none").ack()

	// It gets the resource when there is one.
	f.publish(view("ClusterLoadAssignment a@1 none@1"))
	p.expect("ClusterLoadAssignment +none@1").ack()
	p.quiet()
}

// For other kinds Envoy would take the answer for a reason to wait for ever.
func TestOtherUnknownNamesAreNotAnswered(t *testing.T) {
	for _, kind := range []string{"RouteConfiguration", "TypedExtensionConfig", "Secret"} {
		t.Run(kind, func(t *testing.T) {
			f := serve(t)
			f.publish(view(kind + " a@1"))
			p := f.connect()
			p.subscribe(kind, "none", "a")
			p.expect(kind + " +a@1").ack()
			p.subscribe(kind, "none")
			p.quiet()
			f.wait()
			f.publish(view(kind + " a@1 none@1"))
			p.expect(kind + " +none@1").ack()
			p.quiet()

			// What it has and that goes is withdrawn all the same, once.
			f.publish(view(kind + " a@1"))
			p.expect(kind + " -none").ack()
			p.subscribe(kind, "none")
			p.quiet()
			f.wait()
		})
	}
}

// The acknowledgement of one response and the subscription to more may come in
// one request.
func TestSubscribeWithAcknowledgement(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1 b@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a")
	p.expect("RouteConfiguration +a@1").ack("b")
	p.expect("RouteConfiguration +b@1").ack()
	p.quiet()
}

// While a response is in flight no other of its type is sent, and an answer to
// an older one counts for nothing.
func TestOneResponseInFlight(t *testing.T) {
	f := serve(t)
	f.publish(view("RouteConfiguration a@1 b@1"))
	p := f.connect()
	p.subscribe("RouteConfiguration", "a")
	first := p.expect("RouteConfiguration +a@1")
	p.subscribe("RouteConfiguration", "b")
	p.quiet()
	first.ack()
	second := p.expect("RouteConfiguration +b@1")
	f.publish(view("RouteConfiguration a@2 b@1"))
	first.ack()
	first.nack("an answer to the past")
	p.quiet()
	second.ack()
	p.expect("RouteConfiguration +a@2").ack()
	p.quiet()
	if refusals := f.Refusals(); len(refusals) != 0 {
		t.Fatalf("a stale answer counted as a refusal: %v", refusals)
	}
}
