// Package host is the machine's side of a cluster: it starts the node in
// namespaces of its own, links it with the machine, knows what is running, and
// removes all of it, also what a crash has left behind.
//
// It changes nothing on the machine but what it puts back: settings of the
// kernel that the node's components insist on, one interface and its routes,
// control groups, and the folder of clusters. It never touches the machine's
// firewall.
package host
