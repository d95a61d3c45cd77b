package kube

import (
	"maps"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/sidecar"
)

// Objects are built anew from the fields that a mesh needs. A list of fields to
// drop would keep every one that Kubernetes adds.

// annotationPrefix begins the annotations that mean something to the mesh.
const annotationPrefix = "smi-spec.io/"

// meta is what the mesh needs of an object's metadata.
func meta(o *metav1.ObjectMeta) metav1.ObjectMeta {
	kept := metav1.ObjectMeta{
		Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion,
		Labels: o.Labels, DeletionTimestamp: o.DeletionTimestamp,
	}
	for name, value := range o.Annotations {
		if strings.HasPrefix(name, annotationPrefix) {
			if kept.Annotations == nil {
				kept.Annotations = map[string]string{}
			}
			kept.Annotations[name] = value
		}
	}
	return kept
}

func trimNamespace(o *corev1.Namespace) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: meta(&o.ObjectMeta)}
}

func trimServiceAccount(o *corev1.ServiceAccount) *corev1.ServiceAccount {
	kept := &corev1.ServiceAccount{ObjectMeta: meta(&o.ObjectMeta)}
	kept.Labels = nil
	return kept
}

func trimNode(o *corev1.Node) *corev1.Node {
	kept := &corev1.Node{ObjectMeta: meta(&o.ObjectMeta), Spec: corev1.NodeSpec{PodCIDRs: o.Spec.PodCIDRs}}
	kept.Labels = nil
	if len(kept.Spec.PodCIDRs) == 0 && o.Spec.PodCIDR != "" {
		kept.Spec.PodCIDRs = []string{o.Spec.PodCIDR}
	}
	return kept
}

func trimServiceCIDR(o *networkingv1.ServiceCIDR) *networkingv1.ServiceCIDR {
	kept := &networkingv1.ServiceCIDR{ObjectMeta: meta(&o.ObjectMeta), Spec: networkingv1.ServiceCIDRSpec{CIDRs: o.Spec.CIDRs}}
	kept.Labels = nil
	return kept
}

func trimService(o *corev1.Service) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(&o.ObjectMeta), Spec: corev1.ServiceSpec{
		Type: o.Spec.Type, ClusterIP: o.Spec.ClusterIP, ClusterIPs: o.Spec.ClusterIPs, Ports: o.Spec.Ports, Selector: o.Spec.Selector,
		ExternalName: o.Spec.ExternalName, PublishNotReadyAddresses: o.Spec.PublishNotReadyAddresses,
		IPFamilies: o.Spec.IPFamilies,
	}}
}

func trimEndpointSlice(o *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	kept := &discoveryv1.EndpointSlice{ObjectMeta: meta(&o.ObjectMeta), AddressType: o.AddressType, Ports: o.Ports}
	for _, e := range o.Endpoints {
		kept.Endpoints = append(kept.Endpoints, discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions})
	}
	return kept
}

func trimPod(o *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{ObjectMeta: meta(&o.ObjectMeta), Spec: corev1.PodSpec{
		ServiceAccountName: o.Spec.ServiceAccountName, HostNetwork: o.Spec.HostNetwork, NodeName: o.Spec.NodeName,
		Hostname: o.Spec.Hostname, Subdomain: o.Spec.Subdomain,
		InitContainers: containers(o.Spec.InitContainers), Containers: containers(o.Spec.Containers),
	}}
	for _, owner := range o.OwnerReferences {
		kept.OwnerReferences = append(kept.OwnerReferences, metav1.OwnerReference{Kind: owner.Kind, Name: owner.Name, Controller: owner.Controller})
	}
	kept.Status = corev1.PodStatus{Phase: o.Status.Phase, PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return kept
}

// containers are names and ports, and what the init container of the mesh was told. A
// container without ports says nothing, but for one that is known by its name.
func containers(all []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(all))
	for i, c := range all {
		kept[i] = corev1.Container{Name: c.Name, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		if c.Name == sidecar.RedirectContainer {
			kept[i].Args = c.Args
		}
	}
	return kept
}

// trimMeta drops who wrote which field.
func trimMeta(o client.Object) client.Object {
	o.SetManagedFields(nil)
	if all := o.GetAnnotations(); all != nil {
		maps.DeleteFunc(all, func(name, _ string) bool { return !strings.HasPrefix(name, annotationPrefix) })
	}
	return o
}

// sameSpec tells whether two versions of an object of SMI differ in their status
// alone: the API server counts the generation up when anything else of them but
// the metadata changes.
func sameSpec(a, b client.Object) bool {
	return a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() &&
		maps.Equal(a.GetAnnotations(), b.GetAnnotations()) &&
		reflect.DeepEqual(a.GetDeletionTimestamp(), b.GetDeletionTimestamp())
}
