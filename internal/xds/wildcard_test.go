package xds_test

import "testing"

// A first request without names is a subscription to the whole collection.
func TestLegacyWildcard(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1", "Cluster c@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1 +b@1").ack()

	f.publish(view("Listener a@1 b@2 d@1", "Cluster c@1"))
	p.expect("Listener +b@2 +d@1").ack()

	f.publish(view("Listener b@2", "Cluster c@1"))
	p.expect("Listener -a -d").ack()
	p.quiet()
}

// A request without names means nothing for kinds that are asked for by name.
func TestNoLegacyWildcardForNamedKinds(t *testing.T) {
	f := serve(t)
	f.publish(view("ClusterLoadAssignment a@1", "RouteConfiguration r@1"))
	p := f.connect()
	p.subscribe("ClusterLoadAssignment")
	p.subscribe("RouteConfiguration")
	p.quiet()
}

func TestExplicitWildcard(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1 b@1"))
	p := f.connect()
	p.subscribe("Listener", "*")
	p.expect("Listener +a@1 +b@1").ack()

	// Names beside the wildcard: one that is there is sent again, one that is not
	// is told to be absent, and told again once it exists.
	p.subscribe("Listener", "b", "none")
	p.expect("Listener +b@1 -none").ack()
	f.publish(view("Listener a@1 b@1 none@1"))
	p.expect("Listener +none@1").ack()

	// Without the wildcard the named ones remain.
	p.unsubscribe("Listener", "*")
	p.quiet()
	f.publish(view("Listener a@2 b@2 c@2 none@1"))
	p.expect("Listener +b@2").ack()
	p.quiet()
}

// Whoever asks for a collection waits for an answer, even if it is empty.
func TestEmptyCollectionIsAnswered(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster").ack()
	p.subscribe("Listener", "*")
	p.expect("Listener +a@1").ack()
	p.quiet()
}

// Without a view there is no answer, not even an empty one: a proxy that
// reconnects to a server which knows nothing yet keeps what it has.
func TestNoViewNoAnswer(t *testing.T) {
	f := serve(t)
	p := f.connect()
	p.subscribe("Listener")
	f.publish(view("Listener a@1"))
	p.expect("Listener +a@1").ack()
}

// A kind that the server does not know does no harm.
func TestUnknownTypeIsIgnored(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("type.unknown.to.the.server", "x")
	p.subscribe("Listener")
	p.expect("Listener +a@1").ack()
	p.quiet()
}
