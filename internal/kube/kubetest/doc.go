// Package kubetest gives tests an API server: a real one, with its etcd, that
// knows no nodes and runs no pods.
//
// It is for tests alone.
package kubetest
