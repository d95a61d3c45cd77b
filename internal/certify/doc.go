// Package certify is how a pod of a cluster gets its certificate: a gRPC service
// of the control plane that signs the key of a pod, and the client that the
// pod's agent asks it with.
//
// The caller proves who it is by its pod's projected token and by nothing else:
// the API server reviews it, and the pod that it is bound to must live, run as
// that account and have a sidecar (ID-1). A client certificate counts for
// nothing here, so that a stolen one cannot renew itself.
//
// The package never signs: that is the Issuer's work. It never stores a token,
// and none is in an error or in a log.
package certify
