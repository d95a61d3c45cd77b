// Package local is the standalone runtime: it runs the pods of a folder of
// Kubernetes YAML as processes of this machine, each behind an Envoy of its
// own, and keeps the mesh in step with the folder.
//
// It is another source and another way to start a proxy, nothing else: the
// compiler, the renderer, the xDS server and the identities are those of a
// cluster. Init containers, volumes, probes other than readiness and whatever a
// container's image holds do not exist here. What a cluster isolates it does not:
// a process of the same machine can go around the sidecars (AC-2).
//
// Nothing that it starts outlives it: in order when it is stopped, by the kernel
// when it is killed. Only what an application itself has started, and left in
// the background, survives that.
package local
