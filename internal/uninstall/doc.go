// Package uninstall does what a package manager cannot when the mesh is removed
// from a cluster: beforehand it takes away what would fail without a controller,
// and warns of pods that are still meshed; afterwards it removes what the
// controller made.
//
// It never touches what users made: their SMI objects, their definitions, a
// certificate authority of their own.
package uninstall
