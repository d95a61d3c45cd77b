// Package identity is who a workload is and how it proves it: a certificate
// authority that signs X.509-SVIDs for ServiceAccounts (ID-1), the bundle of
// roots that a trust domain believes in, TLS configurations that turn a peer's
// certificate into a mesh.Principal (ID-2), and a keeper that holds a current
// key and certificate and renews them in time.
//
// Names come from an account that the caller has verified, never from a
// request: what a certificate signing request asks for is ignored but for its
// public key. The package does not find out who calls (a token review, a local
// pod) and does not talk to Kubernetes or to a proxy. A private key is in no
// error and in no log.
package identity
