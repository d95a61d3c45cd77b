// Package inject brings pods into the mesh: it adds to a pod the init container
// that redirects its traffic and the native sidecar that carries it, leads the
// kubelet's probes through the sidecar, and refuses pods that cannot be guarded.
//
// Injection is a function of a namespace, a pod and the mesh's options, which make
// the tokens that keep strangers from the pod's probes. It is
// made anew each time: what an earlier run left is taken away first, so a second
// run changes nothing, and nobody can bring a sidecar of their own.
//
// The package never writes to a cluster. Of a cluster it reads namespaces, and
// only through its admission handler.
package inject
