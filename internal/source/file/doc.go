// Package file reads Kubernetes and SMI objects from YAML and JSON: from files,
// from folders with everything below them, and from the standard input. Load
// reads once, Watch follows the changes.
//
// It judges the shape of a document and no more: whether it is well-formed,
// whether fields exist and have the right type, whether an object is given
// twice. What an object means, and whether that makes sense, is compile's work.
// It stands in for what a cluster does before anything is seen there: it sets
// the namespace and the few defaults that the mesh depends on, and makes Pods of
// Deployments and their like.
//
// Input is bounded before it is parsed, and nothing in it makes the package
// panic. One broken document never disturbs another, and while files are
// watched a broken file keeps what it last said.
//
// The package never speaks to Kubernetes, never starts anything and never
// writes a file.
package file
