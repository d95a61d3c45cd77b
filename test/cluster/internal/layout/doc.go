// Package layout says which file of a cluster lies where, for those who see the
// cluster's folder from the machine and for those who see it from inside the
// node, where it has another path.
//
// It names files and never reads or writes one.
package layout
