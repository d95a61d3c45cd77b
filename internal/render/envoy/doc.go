// Package envoy renders the model of the mesh as xDS resources for Envoy.
//
// What a proxy receives, and what each resource is for:
//
//   - Listener "inbound|<port>" ends mutual TLS for one port of the pod. It has
//     a filter chain per source, so that the connections of one source can be
//     drained alone when a grant is withdrawn (AC-17). Chains never authorise.
//   - Extension config "access|<port>|<source>" is the RBAC rules that the
//     connection manager of a source's chain asks, "access|<port>" those of all
//     sources. They travel by ECDS, so that a changed rule closes no connection.
//   - Listener "inner|<port>" is internal. Ports that speak TCP, or have not
//     declared what they speak, hand their decrypted connections to it, since
//     only there can identity and bytes decide before the application is
//     connected (AC-12).
//   - Listener "outbound" is the HTTP proxy of the pod; "outbound|<port>|<name>"
//     stands for one port of one Service. Clusters, endpoints, routes and TCP
//     weights ("tcp|...") of Service ports have names of the same form.
//   - Listener "outside" takes what the proxy of the pod does not know: it
//     refuses names of the mesh that are not granted, and forwards the rest.
//
// The package is pure: it reads a mesh.Mesh and returns resources. It never
// interprets SMI, opens a connection, logs or looks at the clock. What did not
// change keeps its pointer from one rendering to the next.
package envoy
