// Package node is the inside of a cluster's node: process 1 of its namespaces.
// It sets up mounts and addresses, runs the components, reaps what they leave
// behind and takes orders at a socket. When it ends, everything on the node ends.
//
// It restarts nothing on its own: a component that has died is something that
// whoever tests wants to know.
package node
