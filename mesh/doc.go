// Package mesh is the model of a service mesh that SMI resources describe: who
// is who, who may call whom and how, and which share of the traffic goes where.
//
// The model is what remains of the resources once every rule of
// docs/semantics.md has been applied: nothing in it is dangling, ambiguous or
// in need of interpretation. Renderers turn it into what a data plane
// understands, and explain answers questions about it; neither needs to know
// SMI. The package holds data and trivial accessors only. It never reads
// Kubernetes, never talks to a proxy, and imports the standard library alone.
//
// A Mesh and everything reachable from it is immutable once it was compiled.
// Two compilations share the parts that did not change, so that equal pointers
// mean equal content.
package mesh
