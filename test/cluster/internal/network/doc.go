// Package network plans the addresses of a cluster: those of its pods and
// Services and of the link between machine and node. Clusters on one machine
// get different ones, as the machine has routes to all of them.
//
// It computes and never touches an interface.
package network
