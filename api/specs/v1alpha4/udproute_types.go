package v1alpha4

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// UDPRoute describes UDP traffic by its port. It allows nothing by itself. UDP
// carries no certificate, so a UDPRoute in a TrafficTarget can open its ports
// only to the addresses that the source's pods have at the time. Where the data
// plane cannot do that it grants nothing, and the status says so (AC-11).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ur,categories=smi
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.spec.matches.ports`,description="The pods' ports; none means every port"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether it takes part in the mesh"
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,description="Whether the proxies carry it out"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type UDPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the description. Without anything in it, it means every port
	// (SP-7).
	// +optional
	Spec UDPRouteSpec `json:"spec,omitzero"`
	// status is what became of it. The mesh writes it, nobody else.
	// +optional
	Status UDPRouteStatus `json:"status,omitzero"`
}

// UDPRouteSpec is the description of UDP traffic.
type UDPRouteSpec struct {
	// matches are the ports. Absent means every port of the destination's pods
	// (SP-7). It is one object and not a list.
	//
	// Example: {name: dns, ports: [53]}
	//
	// +optional
	Matches UDPMatch `json:"matches,omitzero"`
}

// UDPMatch is a set of ports.
type UDPMatch struct {
	// name is for people; nothing refers to it.
	//
	// Example: dns
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// ports are port numbers of the destination's pods, which are the target
	// ports of a Service and not the Service's own. Absent or empty means every
	// port. The proxy's own ports are never meant (SP-7).
	//
	// Example: [53]
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int `json:"ports,omitempty"`
}

// UDPRouteStatus is what became of a UDPRoute.
type UDPRouteStatus struct {
	// conditions are Accepted (it can be used) and Programmed (the proxies
	// carry it out). The message of one that
	// is not True says what to do.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// UDPRouteList is a list of UDPRoutes.
//
// +kubebuilder:object:root=true
type UDPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the UDPRoutes.
	Items []UDPRoute `json:"items"`
}
