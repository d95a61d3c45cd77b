// Package agent is what runs beside an Envoy, within the same boundary of
// trust: in a pod, or in the process of the standalone runtime.
//
// It makes the private key, which never leaves it but for its own Envoy; keeps
// a certificate current; hands both to Envoy by SDS over a Unix socket; receives
// Envoy's access log there; writes Envoy's bootstrap; starts Envoy, starts it
// again should it die, and stops it gracefully. It knows nothing of SMI or of
// the mesh's configuration, which Envoy fetches from the xDS server itself.
package agent
