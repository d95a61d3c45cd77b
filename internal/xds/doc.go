// Package xds brings the configuration that renderers made to the proxies: an
// aggregated discovery server (ADS) that speaks the incremental (delta) variant
// of Envoy's xDS protocol and nothing else.
//
// What one proxy should have is a View: an immutable set of resources, shared
// by every proxy of the same class. Publish tells the server the views of all
// proxies; the server finds out what each connected proxy lacks and sends that,
// in an order that never breaks traffic:
//
//  1. clusters that are new or changed, then endpoints. Phase 2 waits until the
//     proxy acknowledged the clusters and the endpoints behind them, at most
//     five seconds.
//  2. routes, extension configurations, listeners (those that go included).
//     Phase 3 waits until they are acknowledged, and until the proxy asked for
//     what they newly refer to, which is all that is new and not spare, the
//     latter at most five seconds.
//  3. the withdrawal of clusters, and, once that is acknowledged, of endpoints,
//     routes and extension configurations that the proxy still asks for.
//
// Access rules, which are the extension configurations whose name begins with
// AccessPrefix, and secrets belong to no phase: they are sent at once (AC-17), in
// responses of their own. A proxy has at most one response of each type in
// flight, and at most one push under way: a newer view replaces the one under
// way wherever it stands, and the phases are those of the newer one from then on.
//
// A proxy that refuses a response (a NACK) keeps the last good configuration.
// Responses with several resources are repeated in halves until the culprit
// stands alone; it is not sent again on that stream until its version changes,
// or the proxy asks for it anew. All other resources proceed, so a route may come
// to name a cluster that was refused; but while a proxy refuses anything, nothing
// is withdrawn from it in phase 3, because its last good configuration may need it.
//
// A proxy that asks for endpoints, a cluster or a listener that is not in its
// view is told so. For routes, extension configurations and secrets it gets no
// answer, because Envoy would then wait for ever (tried).
//
// The package never looks into SMI, Kubernetes or the model, and into resources
// only so far as to learn which endpoints a cluster waits for. It holds no keys:
// it reads the peer's identity from the TLS connection that its caller set up.
package xds
