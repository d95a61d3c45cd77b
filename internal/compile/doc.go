// Package compile gives SMI resources their meaning: it turns a snapshot of the
// store into a mesh.Mesh and says, as findings, what in the resources has no
// effect or another one than its author may think.
//
// Every rule of docs/semantics.md that decides what a resource means is carried
// out here and nowhere else. The package is pure: it reads the snapshot it is
// given and nothing more, no cluster, no proxy, no log and no clock.
//
// A Compiler walks all keys on every compilation, in stages:
//
//	objects -> routes, bindings, pods -> services -> targets -> policies -> splits -> workloads
//
// Each key's output is a function of an explicit struct of inputs. Where that
// struct equals the one of the last walk, the last output is kept, pointer and
// all, so that renderers can tell by pointer what did not change. A function
// that builds an output gets that struct and nothing else: an input that was
// forgotten cannot be used.
package compile
