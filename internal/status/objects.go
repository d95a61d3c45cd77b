package status

import (
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// policyObject is an object that has conditions.
type policyObject struct {
	ref  mesh.ObjectRef
	meta metav1.Object
}

// policyObjects are those of a snapshot.
func policyObjects(s *store.Snapshot) []policyObject {
	var all []policyObject
	all = add(all, "TrafficTarget", s.TrafficTargets.All())
	all = add(all, "IdentityBinding", s.IdentityBindings.All())
	all = add(all, "HTTPRouteGroup", s.HTTPRouteGroups.All())
	all = add(all, "TCPRoute", s.TCPRoutes.All())
	all = add(all, "UDPRoute", s.UDPRoutes.All())
	return add(all, "TrafficSplit", s.TrafficSplits.All())
}

func add[T metav1.Object](all []policyObject, kind string, objects []T) []policyObject {
	for _, o := range objects {
		all = append(all, policyObject{mesh.ObjectRef{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}, o})
	}
	return all
}

func newObject(kind string) client.Object {
	switch kind {
	case "TrafficTarget":
		return &access.TrafficTarget{}
	case "IdentityBinding":
		return &access.IdentityBinding{}
	case "HTTPRouteGroup":
		return &specs.HTTPRouteGroup{}
	case "TCPRoute":
		return &specs.TCPRoute{}
	case "UDPRoute":
		return &specs.UDPRoute{}
	case "TrafficSplit":
		return &split.TrafficSplit{}
	}
	panic("status: objects of kind " + kind + " have no conditions")
}

func conditionsOf(o client.Object) []metav1.Condition {
	switch o := o.(type) {
	case *access.TrafficTarget:
		return o.Status.Conditions
	case *access.IdentityBinding:
		return o.Status.Conditions
	case *specs.HTTPRouteGroup:
		return o.Status.Conditions
	case *specs.TCPRoute:
		return o.Status.Conditions
	case *specs.UDPRoute:
		return o.Status.Conditions
	case *split.TrafficSplit:
		return o.Status.Conditions
	}
	return nil
}

// programmedGeneration is the generation that an object says proxies carry out, 0
// where it says none.
func programmedGeneration(o client.Object) int64 {
	if o == nil {
		return 0
	}
	if c := apimeta.FindStatusCondition(conditionsOf(o), Programmed); c != nil && c.Status == metav1.ConditionTrue {
		return c.ObservedGeneration
	}
	return 0
}

// ours are the conditions that this package writes for a kind, in its order.
func ours(held []metav1.Condition, kind string) []metav1.Condition {
	var all []metav1.Condition
	for _, t := range conditionTypes[kind] {
		if c := apimeta.FindStatusCondition(held, t); c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// sameConditions tells whether two lists say the same, whenever they began to.
func sameConditions(a, b []metav1.Condition) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.Condition) bool {
		x.LastTransitionTime, y.LastTransitionTime = metav1.Time{}, metav1.Time{}
		return x == y
	})
}

// withTimes returns the conditions with the times of their last transitions: now for
// those whose status is another one.
func withTimes(held, desired []metav1.Condition) []metav1.Condition {
	all := make([]metav1.Condition, 0, len(desired))
	for _, c := range desired {
		if before := apimeta.FindStatusCondition(held, c.Type); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		} else {
			c.LastTransitionTime = metav1.Now()
		}
		all = append(all, c)
	}
	return all
}
