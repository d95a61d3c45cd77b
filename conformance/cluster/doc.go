// Package cluster is the target of conformance runs on a Kubernetes cluster: it
// applies what cases apply by the API server, and speaks with the drivers of
// workloads by port forwarding. What is particular to a mesh is in its Profile.
//
// It never changes anything but the namespaces of the suite and what is in them.
package cluster
