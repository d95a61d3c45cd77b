// Package rootkeeper keeps the certificate authority of a mesh on a cluster: the
// signing key, the roots that are trusted, and their change.
//
// The key lies in a Secret, which the leader of the controllers makes once, or
// which the user gives; every replica reads it and signs with it. It is copied
// nowhere else and never logged. Roots are told to pods by a ConfigMap in their
// namespace, which the leader writes and puts right again.
//
// Roots change with overlap, in phases that the leader keeps in the Secret too,
// so that any other replica can go on at any time:
//
//	stable    everything is signed by the one root that is trusted
//	trusting  a new root is trusted beside the old one, which still signs
//	signing   the new root signs; the old one is still trusted
//	removing  the old root is trusted no more
//
// A phase ends when every replica carries it out, every namespace and the webhooks
// have the roots, and every pod of the mesh either got a certificate since it began
// or has none any more that is valid. Neither a pod nor a namespace can hold it up for
// longer than certificates live; a replica can until it is gone. Whoever cannot wait
// says so, and that ends one phase.
//
// Each phase has a number, the epoch. The package never judges who may have a
// certificate; that is the work of certify.
package rootkeeper
