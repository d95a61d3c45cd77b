// Package kube connects to a Kubernetes cluster the way kubectl does: by a
// kubeconfig and a context, or from inside a pod by its ServiceAccount.
//
// It hands out clients and never reads or writes an object itself.
package kube
