package v1alpha4

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IdentityBinding gives a name to a set of identities, so that TrafficTargets
// can use it as a source or a destination. It speaks for its own namespace
// only: no binding can pass off a workload of another namespace as its own
// (ID-4).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ib,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="ServiceAccount",type=string,JSONPath=`.spec.schemes.serviceAccount`,description="The ServiceAccount it names"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,description="Whether everything it names exists"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IdentityBinding struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the set of identities.
	// +required
	Spec IdentityBindingSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status IdentityBindingStatus `json:"status,omitzero"`
}

// IdentityBindingSpec is the set of identities that a binding names.
type IdentityBindingSpec struct {
	// schemes are the ways to name identities; the binding is the union of them
	// all (ID-4). Without any it names nobody.
	//
	// +required
	Schemes IdentityBindingSchemes `json:"schemes,omitzero"`
}

// IdentityBindingSchemes are the ways to name identities.
type IdentityBindingSchemes struct {
	// podLabelSelector names the pods of the binding's namespace that have these
	// labels, and not every pod that shares their ServiceAccount. As long as
	// certificates tell accounts apart but not pods, a selector that does not
	// cover all pods of an account names none of them, and the status says so
	// (ID-5). An empty selector, and one together with serviceAccount, voids the
	// binding (ID-4).
	//
	// Example: {matchLabels: {app: bookstore}}
	//
	// +optional
	PodLabelSelector *PodLabelSelector `json:"podLabelSelector,omitempty"`

	// spiffeIdentities are SPIFFE ids, with or without spiffe://. One of the
	// mesh's own trust domain must be an account of the binding's own namespace,
	// or it contributes nothing. One of another trust domain can only be a
	// source, and needs a configured trust bundle (ID-4).
	//
	// Example: [spiffe://cluster.local/ns/shop/sa/bookbuyer]
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	SPIFFEIdentities []string `json:"spiffeIdentities,omitempty"`

	// serviceAccount is the name of a ServiceAccount in the binding's namespace.
	//
	// Example: bookbuyer
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
}

// PodLabelSelector selects pods by their labels.
type PodLabelSelector struct {
	// matchLabels are the labels that a pod must have, all of them, each with
	// exactly this value. Without any the selector is empty, which voids the
	// binding (ID-4).
	//
	// Example: {app: bookstore, version: v2}
	//
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// IdentityBindingStatus is what became of an IdentityBinding.
type IdentityBindingStatus struct {
	// conditions are Accepted (it takes part) and ResolvedRefs (everything it
	// names exists). The message of one that is not True says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IdentityBindingList is a list of IdentityBindings.
//
// +kubebuilder:object:root=true
type IdentityBindingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the IdentityBindings.
	Items []IdentityBinding `json:"items"`
}
