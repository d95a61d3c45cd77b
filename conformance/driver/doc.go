// Package driver sends requests from inside a workload, as a conformance run
// tells it to, and reports what came back.
//
// A suite cannot send a request in a workload's name from the outside: the
// connection has to begin behind the workload's own sidecar. So the workload
// serves this package's small HTTP interface at an address that no mesh stands
// in front of: the loopback of its pod on a cluster, reached by port forwarding,
// or its own address where pods are processes of one machine.
//
// It writes HTTP/1.1 byte for byte as it was told, since paths and headers that
// a client library would tidy up are what some rules are about. It knows nothing
// of meshes, policy or expectations, and follows any order that it gets: a tool
// for tests, never to be exposed to strangers.
package driver
