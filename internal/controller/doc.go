// Package controller is the process that runs a mesh on a Kubernetes cluster: it
// puts together what reads the cluster, compiles, serves proxies, signs their
// certificates, brings pods into the mesh and writes what became of resources.
//
// Every replica serves; one of them, the leader, writes. The package gives
// resources no meaning and renders nothing itself.
package controller
