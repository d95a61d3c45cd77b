// Package sidecar tests sidecars as they stand in the pods of a cluster: with
// real Envoys, the real redirection, network namespaces for pods and the real
// control plane, but without Kubernetes. Only tests are in it.
package sidecar
