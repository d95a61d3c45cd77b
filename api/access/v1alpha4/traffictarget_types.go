package v1alpha4

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The kinds of a subject and of a rule.
const (
	KindServiceAccount  = "ServiceAccount"
	KindIdentityBinding = "IdentityBinding"
	KindHTTPRouteGroup  = "HTTPRouteGroup"
	KindTCPRoute        = "TCPRoute"
	KindUDPRoute        = "UDPRoute"
)

// TrafficTarget allows traffic: its sources may call its destination in the
// ways that its rules describe. It only ever adds. What no TrafficTarget allows
// is denied (AC-1), TrafficTargets add up (AC-3), and one that names something
// that does not exist grants nothing by it (AC-7).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=tt,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destination.name`,description="Who may be called"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,description="Whether everything it names exists"
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,description="Whether the proxies carry it out"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is allowed.
	// +required
	Spec TrafficTargetSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status TrafficTargetStatus `json:"status,omitzero"`
}

// TrafficTargetSpec says who may call whom, and how. Without a destination, a
// source or a rule it grants nothing (AC-4).
type TrafficTargetSpec struct {
	// destination is who may be called. It is in the TrafficTarget's own
	// namespace: only the owner of a workload may open it (AC-5). It means the
	// pods of that identity, through whichever Service they are reached (AC-13).
	//
	// Example: {kind: ServiceAccount, name: bookstore}
	//
	// +required
	Destination IdentityBindingSubject `json:"destination,omitzero"`

	// sources are who may call. They may be in any namespace (AC-5). Without a
	// source nothing is granted (AC-4).
	//
	// Example: [{kind: ServiceAccount, name: bookbuyer, namespace: shop}]
	//
	// +optional
	// +listType=atomic
	Sources []IdentityBindingSubject `json:"sources,omitempty"`

	// rules are the traffic that is allowed; any one of them suffices. Without a
	// rule nothing is granted (AC-4). A TCPRoute beside HTTPRouteGroups is the
	// exception: it restricts them to its ports and opens nothing itself (AC-9).
	//
	// Example: [{kind: HTTPRouteGroup, name: bookstore, matches: [buy-a-book]}]
	//
	// +optional
	// +listType=atomic
	Rules []TrafficTargetRule `json:"rules,omitempty"`
}

// IdentityBindingSubject names a workload's identity, or a set of identities.
//
// +kubebuilder:validation:XValidation:rule="!has(self.group) || size(self.group) == 0 || self.group == (self.kind == 'IdentityBinding' ? 'access.smi-spec.io' : 'core')",message="group must be absent, or access.smi-spec.io for an IdentityBinding, or core for a ServiceAccount"
type IdentityBindingSubject struct {
	// kind is ServiceAccount for the identity of one Kubernetes ServiceAccount
	// (ID-1), or IdentityBinding for the set that such an object names (ID-4).
	//
	// +required
	// +kubebuilder:validation:Enum=ServiceAccount;IdentityBinding
	Kind string `json:"kind,omitempty"`

	// name is the name of the ServiceAccount or IdentityBinding. One that does
	// not exist contributes nothing, and the status says so (AC-7).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// namespace is where it is; absent means the TrafficTarget's own. For a
	// destination only its own is allowed (AC-5).
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// group is the API group of the kind. Absent means the one that the kind
	// has, and no other is allowed: core for a ServiceAccount, and
	// access.smi-spec.io for an IdentityBinding.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`
}

// TrafficTargetRule names traffic that is described elsewhere.
type TrafficTargetRule struct {
	// kind is HTTPRouteGroup, TCPRoute or UDPRoute.
	//
	// +required
	// +kubebuilder:validation:Enum=HTTPRouteGroup;TCPRoute;UDPRoute
	Kind string `json:"kind,omitempty"`

	// name is the name of that object, in the TrafficTarget's own namespace. One
	// that does not exist contributes nothing, the rest of the TrafficTarget
	// still works, and the status says so (AC-7).
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// matches are the names of the matches of an HTTPRouteGroup that are
	// allowed; absent or empty means all of them (AC-6). A name that the group
	// does not have contributes nothing (AC-7).
	//
	// Example: [buy-a-book, metrics]
	//
	// +optional
	// +listType=atomic
	Matches []string `json:"matches,omitempty"`
}

// TrafficTargetStatus is what became of a TrafficTarget.
type TrafficTargetStatus struct {
	// conditions are Accepted (it takes part), ResolvedRefs (everything it names
	// exists) and Programmed (the proxies carry it out). The message of one that
	// is not True says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TrafficTargetList is a list of TrafficTargets.
//
// +kubebuilder:object:root=true
type TrafficTargetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the TrafficTargets.
	Items []TrafficTarget `json:"items"`
}
