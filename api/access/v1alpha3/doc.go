// Package v1alpha3 holds the types of the access.smi-spec.io/v1alpha3 API, and
// their conversion to and from v1alpha4, which is the version that a cluster
// stores.
//
// The package describes shapes and translates between them. It gives them no
// meaning, sets no defaults, and never speaks to Kubernetes.
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha3
