package envoy

import "maps"

// sweep forgets what the current generation did not use.
func (r *Renderer) sweep() {
	g := r.generation
	r.built = 0
	r.live = r.portGrants.sweep(g) + r.spreads.sweep(g) + r.access.sweep(g) + r.chainAccess.sweep(g) + r.grants.sweep(g) +
		r.portChains.sweep(g) + r.inbound.sweep(g) + r.inner.sweep(g) + r.applications.sweep(g) +
		r.internal.sweep(g) + r.denied.sweep(g) + r.services.sweep(g) + r.reached.sweep(g) + r.refused.sweep(g) + r.clusters.sweep(g) + r.upstreams.sweep(g) + r.senders.sweep(g) + r.upstreamChains.sweep(g) +
		r.proxyHosts.sweep(g) + r.ownNames.sweep(g) + r.proxies.sweep(g) + r.requests.sweep(g) + r.outsideRoutes.sweep(g) + r.outsideListener.sweep(g) + r.forward.sweep(g) +
		r.delivery.sweep(g) + r.portListed.sweep(g) + r.captures.sweep(g) + r.passthrough.sweep(g) + r.podChains.sweep(g) + r.podClusters.sweep(g)
	forget(r.proxyRoutes, func(e *memoEntry[*Resource]) bool { return e.used == g })
	forget(r.podsReached, func(of *podsReached) bool { return of.used == g })
	forget(r.served, func(of *served) bool { return of.used == g })
	forget(r.same, func(e *memoEntry[*Resource]) bool { return e.used == g })
	r.live += len(r.proxyRoutes) + len(r.podsReached) + len(r.served) + len(r.same)
}

// forget deletes the entries that are not to be kept.
func forget[K comparable, V any](entries map[K]V, kept func(V) bool) {
	maps.DeleteFunc(entries, func(_ K, v V) bool { return !kept(v) })
}
