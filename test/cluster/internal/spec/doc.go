// Package spec says how the components of a cluster are run: with which
// arguments and configuration files, and in which order. All paths are those
// that the node sees.
//
// It never starts anything.
package spec
