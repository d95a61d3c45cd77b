// Package kube fills a store with what a Kubernetes cluster holds, and keeps it
// current: the objects that a mesh is made of, without the parts of them that
// no mesh needs.
//
// It gives objects no meaning, which is compile's work, writes nothing to the
// cluster, and never reads a Secret.
package kube
