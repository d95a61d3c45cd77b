package v1alpha4

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TCPRoute describes TCP connections by their port. It allows nothing by itself.
// In a TrafficTarget whose rules are TCPRoutes only it allows everything that is
// sent on its ports, HTTP included (AC-8); beside an HTTPRouteGroup it restricts
// that group to its ports and opens nothing (AC-9).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=tr,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.spec.matches.ports`,description="The pods' ports; none means every port"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TCPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the description. Without anything in it, it means every port
	// (SP-7).
	// +optional
	Spec TCPRouteSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status TCPRouteStatus `json:"status,omitzero"`
}

// TCPRouteSpec is the description of TCP traffic.
type TCPRouteSpec struct {
	// matches are the ports. Absent means every port of the destination's pods
	// (SP-7). It is one object and not a list.
	//
	// Example: {name: database, ports: [5432]}
	//
	// +optional
	Matches TCPMatch `json:"matches,omitzero"`
}

// TCPMatch is a set of ports.
type TCPMatch struct {
	// name is for people; nothing refers to it.
	//
	// Example: database
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// ports are port numbers of the destination's pods, which are the target
	// ports of a Service and not the Service's own. Absent or empty means every
	// port. The proxy's own ports are never meant (SP-7).
	//
	// Example: [5432]
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int `json:"ports,omitempty"`
}

// TCPRouteStatus is what became of a TCPRoute.
type TCPRouteStatus struct {
	// conditions are Accepted (it can be used). The message of one that
	// is not True says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TCPRouteList is a list of TCPRoutes.
//
// +kubebuilder:object:root=true
type TCPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the TCPRoutes.
	Items []TCPRoute `json:"items"`
}
