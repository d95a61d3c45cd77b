// Command image builds the project's container images, for releases and for the
// test cluster alike. It starts from nothing: no container engine and no base
// image. The same inputs always give the same digests.
//
// It never compiles a program and never speaks to a registry: it packs what it
// is given into OCI archives, which any OCI tool pushes.
package main
