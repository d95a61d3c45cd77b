//go:build linux

package live_test

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

func named(name mesh.Name) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}
}

func in(namespace, name string) mesh.Name { return mesh.Name{Namespace: namespace, Name: name} }

// newService has the pods with the label app.
func newService(name mesh.Name, app string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: named(name), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": app}, Ports: ports,
	}}
}

// newPort says by its name what it speaks (PR-1).
func newPort(name string, number, target int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, TargetPort: intstr.FromInt32(target)}
}

// newSplit shares the root's traffic between two backends.
func newSplit(root mesh.Name, backends [2]string, w weights) *split.TrafficSplit {
	return &split.TrafficSplit{ObjectMeta: named(root), Spec: split.TrafficSplitSpec{
		Service: root.Name, Backends: []split.TrafficSplitBackend{{Service: backends[0], Weight: w[0]}, {Service: backends[1], Weight: w[1]}},
	}}
}

// newTarget allows accounts "namespace/name" to call an account of its namespace.
func newTarget(name mesh.Name, destination string, sources []mesh.Account, rules ...access.TrafficTargetRule) *access.TrafficTarget {
	t := &access.TrafficTarget{ObjectMeta: named(name), Spec: access.TrafficTargetSpec{
		Destination: access.IdentityBindingSubject{Kind: "ServiceAccount", Name: destination}, Rules: rules,
	}}
	for _, s := range sources {
		t.Spec.Sources = append(t.Spec.Sources, access.IdentityBindingSubject{Kind: "ServiceAccount", Namespace: s.Namespace, Name: s.Name})
	}
	return t
}

func byGroup(name string, matches ...string) access.TrafficTargetRule {
	return access.TrafficTargetRule{Kind: "HTTPRouteGroup", Name: name, Matches: matches}
}

func byTCPRoute(name string) access.TrafficTargetRule {
	return access.TrafficTargetRule{Kind: "TCPRoute", Name: name}
}

func newGroup(name mesh.Name, matches ...specs.HTTPMatch) *specs.HTTPRouteGroup {
	return &specs.HTTPRouteGroup{ObjectMeta: named(name), Spec: specs.HTTPRouteGroupSpec{Matches: matches}}
}

// newTCPRoute means every port where none is given (SP-7).
func newTCPRoute(name mesh.Name, ports ...int) *specs.TCPRoute {
	return &specs.TCPRoute{ObjectMeta: named(name), Spec: specs.TCPRouteSpec{Matches: specs.TCPMatch{Ports: ports}}}
}

// newAccounts are the ServiceAccounts of that namespace.
func newAccounts(namespace string, names ...string) []store.Object {
	var all []store.Object
	for _, n := range names {
		all = append(all, &corev1.ServiceAccount{ObjectMeta: named(in(namespace, n))})
	}
	return all
}
