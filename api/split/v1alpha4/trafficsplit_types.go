package v1alpha4

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrafficSplit divides what is sent to a Service, the root, among other Services
// of its namespace, the backends. It changes what clients in the mesh reach; for
// all others the root is the plain Service it always was (TS-12). It moves
// traffic and grants none: whoever is reached judges the caller (TS-10).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ts,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service`,description="The root Service"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,description="Whether everything it names exists"
// +kubebuilder:printcolumn:name="Conflicted",type=string,JSONPath=`.status.conditions[?(@.type=="Conflicted")].status`,description="Whether another split of the root keeps it from being applied"
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,description="Whether the proxies carry it out"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficSplit struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the division. The mesh never writes to it (TS-13).
	// +required
	Spec TrafficSplitSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status TrafficSplitStatus `json:"status,omitzero"`
}

// TrafficSplitSpec says which Service is divided, and how.
type TrafficSplitSpec struct {
	// service is the root: the Service that clients call. It is in the split's
	// own namespace, and written as its name, name.namespace, name.namespace.svc
	// or its full name in the cluster (TS-1).
	//
	// Example: bookstore
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service,omitempty"`

	// backends are the Services that share the traffic, by weight. The root may
	// be one of them: its share then goes to the root's own endpoints (TS-8). A
	// backend that does not exist, or lacks the port that is called, is left out
	// and the others share its weight (TS-4). If no usable backend has a weight,
	// the root serves as if there were no split (TS-3).
	//
	// Example: [{service: bookstore-v1, weight: 90}, {service: bookstore-v2, weight: 10}]
	//
	// +required
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MaxItems=256
	Backends []TrafficSplitBackend `json:"backends"`

	// matches are HTTPRouteGroups of the split's namespace. With them the split
	// takes only the requests that match one of the groups; all others go on to
	// the next split of the root, and in the end to the root itself. A group
	// that does not exist matches nothing. Absent or empty means all traffic
	// (TS-6). A split with matches is not applied to ports that speak no HTTP
	// (TS-9).
	//
	// Example: [{kind: HTTPRouteGroup, name: beta-testers}]
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Matches []corev1.TypedLocalObjectReference `json:"matches,omitempty"`
}

// TrafficSplitBackend is one Service and its share.
type TrafficSplitBackend struct {
	// service is the name of a Service in the split's own namespace.
	//
	// Example: bookstore-v2
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service,omitempty"`

	// weight is the share, relative to the other backends: 1000 and 500 is two
	// thirds and one third. Absent is 0, and 0 receives nothing (TS-2, TS-3).
	//
	// Example: 90
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Weight int `json:"weight"`
}

// TrafficSplitStatus is what became of a TrafficSplit.
type TrafficSplitStatus struct {
	// conditions are Accepted (it takes part), ResolvedRefs (everything it names
	// exists), Conflicted (an older split of the root keeps it from being
	// applied, TS-7) and Programmed (the proxies carry it out). The message of
	// one that is not as it should be says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TrafficSplitList is a list of TrafficSplits.
//
// +kubebuilder:object:root=true
type TrafficSplitList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the TrafficSplits.
	Items []TrafficSplit `json:"items"`
}
