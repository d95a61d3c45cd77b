// Package build brings the programs of the node into a cache: those that are
// Go programs are built from modules whose versions and checksums this tree
// pins, the others are Debian packages. What is in the cache under the hash of
// its module files and the Go version is not built again.
//
// It never downloads anything by other means than the go command and apt-get,
// and never starts a program that it built.
package build
