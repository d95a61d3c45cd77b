// Package controlplane keeps proxies in step with a store: it compiles each
// change, renders it for every proxy and publishes it over xDS.
//
// It is the same for a cluster and for one machine. It never puts anything into
// the store, which is a source's work, and never starts a proxy.
package controlplane
