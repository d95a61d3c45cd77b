package v1alpha4

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// HTTPRouteGroup describes HTTP requests, gRPC calls included, by what they ask
// for. It allows and moves nothing by itself: a TrafficTarget allows its
// matches, a TrafficSplit selects by them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=htr,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type HTTPRouteGroup struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the description.
	// +required
	Spec HTTPRouteGroupSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status HTTPRouteGroupStatus `json:"status,omitzero"`
}

// HTTPRouteGroupSpec is a list of alternatives.
type HTTPRouteGroupSpec struct {
	// matches are alternatives: a request is in the group if it satisfies any
	// one of them (SP-5). Without any, no request is.
	//
	// Example: [{name: buy-a-book, methods: [POST], pathRegex: "/books/[0-9]+/buy$"}]
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	Matches []HTTPMatch `json:"matches,omitempty"`
}

// HTTPMatch describes requests. A request satisfies it if it meets every
// condition that is given; without a condition every request does (SP-5).
type HTTPMatch struct {
	// name is what a TrafficTarget calls this match by. No two matches of a
	// group share a name.
	//
	// Example: buy-a-book
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// methods are the HTTP methods, any one of them, in the case that they are
	// sent in. Absent, empty or containing "*" means every method (SP-4). A gRPC
	// call is a POST.
	//
	// Example: [GET, HEAD]
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Methods []string `json:"methods,omitempty"`

	// pathRegex is a regular expression (RE2, ASCII; SP-1) that the path must
	// begin with, the query left out: "/metrics" also means "/metrics/x" and
	// "/metricsfoo", and "/metrics$" means that path alone (SP-2). Absent means
	// every path. A gRPC method is the path /package.Service/Method (SP-8).
	//
	// Example: "/books/[0-9]+$"
	//
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	PathRegex string `json:"pathRegex,omitempty"`

	// headers are regular expressions (RE2, ASCII; SP-1) by header name, written
	// as a map or as a list of maps with one key each. Every one must be met:
	// the expression must match the header's whole value, a header that is
	// absent never matches, not even ".*", and names are case-insensitive. The
	// name "host" means the authority of the request (SP-3, SP-6). Absent means
	// any headers.
	//
	// Example: {user-agent: ".*Firefox.*"}, or [{user-agent: ".*Firefox.*"}]
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Headers HTTPHeaders `json:"headers,omitzero"`
}

// HTTPRouteGroupStatus is what became of an HTTPRouteGroup.
type HTTPRouteGroupStatus struct {
	// conditions are Accepted (all of its matches can be used). The message of
	// one that is not True says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HTTPRouteGroupList is a list of HTTPRouteGroups.
//
// +kubebuilder:object:root=true
type HTTPRouteGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the HTTPRouteGroups.
	Items []HTTPRouteGroup `json:"items"`
}
