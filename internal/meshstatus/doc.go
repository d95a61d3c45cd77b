// Package meshstatus says how a mesh on a cluster is: whether its definitions,
// controller, webhook, certificate authority and proxies are well, and for each
// thing that is not, what to do.
//
// It reads what those who may look at a cluster may read, never a Secret, and
// writes nothing. Facts are collected first, and judged by functions that ask
// nobody.
package meshstatus
