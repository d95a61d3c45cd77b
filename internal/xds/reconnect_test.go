package xds_test

import (
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// resume is the first request of a kind on a new stream.
func (p *proxy) resume(kind string, has map[string]string, names ...string) {
	p.t.Helper()
	p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[kind], InitialResourceVersions: has, ResourceNamesSubscribe: names})
}

// What the proxy has is not sent again; what changed is; what is gone is
// withdrawn, in the order of the phases.
func TestReconnectWithInitialVersions(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1 b@2", "ClusterLoadAssignment a@1 b@1", "Listener l@1 m@2", "RouteConfiguration r@1 s@2"))
	p := f.connect()
	p.resume("Cluster", map[string]string{"a": "1", "b": "1", "old": "1"})
	clusters := p.expect("Cluster +b@2")
	p.resume("ClusterLoadAssignment", map[string]string{"a": "1", "b": "1", "old": "1"}, "a", "b", "old")
	p.expect("ClusterLoadAssignment +b@1").ack() // b was built anew
	p.resume("Listener", map[string]string{"l": "1", "m": "1", "old": "1"})
	p.resume("RouteConfiguration", map[string]string{"r": "1", "s": "1"}, "r", "s")
	p.quiet()
	clusters.ack()
	p.expect("RouteConfiguration +s@2").ack()
	p.expect("Listener +m@2 -old").ack()
	p.expect("Cluster -old").ack()
	p.expect("ClusterLoadAssignment -old").ack()
	p.quiet()
	f.wait()
}

// A proxy that has everything gets nothing.
func TestReconnectUpToDate(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@1", "Listener l@1"))
	p := f.connect()
	p.resume("Cluster", map[string]string{"a": "1"})
	p.resume("ClusterLoadAssignment", map[string]string{"a": "1"}, "a")
	p.resume("Listener", map[string]string{"l": "1"})
	p.quiet()
	f.wait()
}

// The versions that a proxy brings outlive the time until its view is known.
func TestReconnectBeforePublish(t *testing.T) {
	f := serve(t)
	p := f.connect()
	p.resume("Listener", map[string]string{"l": "1", "m": "1"})
	p.resume("RouteConfiguration", map[string]string{"r": "1"}, "r")
	f.publish(view("Listener l@1 m@2", "RouteConfiguration r@1"))
	p.expect("Listener +m@2").ack()
	p.quiet()
	f.wait()
}

// Endpoints that changed while the proxy was away are acknowledged before the
// routes that may need them.
func TestReconnectEndpointsBeforeRoutes(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster a@1", "ClusterLoadAssignment a@2", "RouteConfiguration r@2"))
	p := f.connect()
	p.resume("Cluster", map[string]string{"a": "1"})
	p.resume("ClusterLoadAssignment", map[string]string{"a": "1"}, "a")
	endpoints := p.expect("ClusterLoadAssignment +a@2")
	p.resume("RouteConfiguration", map[string]string{"r": "1"}, "r")
	p.quiet()
	endpoints.ack()
	p.expect("RouteConfiguration +r@2").ack()
	f.wait()
}

// A proxy reconnects before the server learns that its last connection is dead.
// The newer stream counts, and the older one ends with its next request.
func TestNewerStreamTakesOver(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	old := f.connect()
	old.subscribe("Listener")
	reply := old.expect("Listener +a@1")

	p := f.connect()
	p.resume("Listener", map[string]string{"a": "1"})
	f.wait()
	f.publish(view("Listener a@2"))
	p.expect("Listener +a@2").ack()
	f.wait()

	reply.ack()
	old.expectError("Aborted", "took over")
	p.quiet()
}
