// Package accesslog turns what a proxy logs of requests and connections into
// entries, and entries into the mesh's metrics. A Service receives Envoy's
// access log over gRPC (envoy.service.accesslog.v3), a Sink takes the entries,
// Metrics is the Sink that counts.
//
// A listener of the mesh describes its traffic by custom tags of its access
// logger (common_config.custom_tags). A value "-" is none. These are read:
//
//	smi.side         "client" or "server": on whose side the proxy stands. What
//	                 has none is passed on, and not counted
//	smi.source       principal of the caller. On the server's side the URI SAN of
//	                 the certificate that the connection itself showed comes first
//	smi.destination  principal of the callee
//	smi.service      Service that was called, "namespace/name:port"
//	smi.backend      backend that a split chose, "namespace/name:port"
//	smi.split        TrafficSplit that chose it, "namespace/name"
//	smi.grant        "namespace/name" of the TrafficTarget that allowed it, or
//	                 "denied"
//	smi.audit        what smi.grant would be in strict mode, at a destination in
//	                 audit mode (AC-16)
//	smi.workload     workload of the callee, on the client's side
//	smi.pod          pod of the callee, on the client's side
//
// Besides, the result of Envoy's RBAC filters is read from dynamic metadata
// (enforced_* for what was done, shadow_* for what strict mode would have
// done, AC-16), and grpc-status from logged response headers and trailers
// (additional_response_headers_to_log, additional_response_trailers_to_log).
//
// Every request passes here twice, on the machine that it is served by, so the
// messages are not decoded as a whole: what is wanted is picked out of them, and
// what comes again and again (names, series) is kept.
//
// The package never decides anything about traffic and never reads bodies. Its
// socket belongs to the proxy alone, so it believes what the proxy says; what a
// peer can choose freely, such as a path, is cut to size and never becomes a
// label.
package accesslog
