// Package netlab is a small network for tests: pods, each with a network
// namespace of its own, joined by a bridge in another one.
//
// Only tests use it, and only root can. The machine's own network is left
// alone, and nothing is left of a lab when its test ends.
package netlab
