// Package v1alpha4 holds the types of the specs.smi-spec.io/v1alpha4 API:
// HTTPRouteGroup, TCPRoute and UDPRoute, which describe traffic so that a
// TrafficTarget can allow it and a TrafficSplit can select it.
//
// It is the version that a cluster stores and the hub that every other version
// of the group is converted to and from (VE-3). The package describes shapes
// only: what they mean is decided by the rules in docs/semantics.md and nowhere
// else. It sets no defaults, and never speaks to Kubernetes.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha4
