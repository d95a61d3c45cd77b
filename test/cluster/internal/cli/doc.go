// Package cli is the command line of the test cluster: it puts the cache of
// programs, the machine's side and the node together.
//
// It never does to a cluster what those packages could do themselves.
package cli
