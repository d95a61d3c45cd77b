// Package v1alpha4 holds the types of the access.smi-spec.io/v1alpha4 API:
// TrafficTarget, which grants, and IdentityBinding, which names whom.
//
// It is the version that a cluster stores and the hub that every other version
// of the group is converted to and from (VE-3). The package describes shapes
// only: what they mean is decided by the rules in docs/semantics.md and nowhere
// else. It sets no defaults, and never speaks to Kubernetes.
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha4
