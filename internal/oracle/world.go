package oracle

import (
	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
)

// Labels and annotations that the rules name.
const (
	labelAccess              = "smi-spec.io/access"          // on Namespaces, AC-16
	labelInject              = "smi-spec.io/inject"          // on Pods; "disabled" means unmeshed
	annotationPlaintextPorts = "smi-spec.io/plaintext-ports" // on Pods, AC-18
	annotationEmptyBackends  = "smi-spec.io/empty-backends"  // on TrafficSplits, TS-5
)

// Mode says how far access control is enforced (AC-16). The zero value counts as Strict (AC-1).
type Mode string

// The modes of AC-16, from the loosest to the strictest.
const (
	Permissive Mode = "permissive"
	Audit      Mode = "audit"
	Strict     Mode = "strict"
)

// Config is what the mesh's own configuration contributes to a verdict.
type Config struct {
	TrustDomain   string // "cluster.local" when empty
	ClusterDomain string // "cluster.local" when empty
	Mode          Mode   // of namespaces that say nothing; Strict when empty
	Floor         Mode   // the loosest mode that a namespace's label may choose; none when empty
}

// World is everything a verdict depends on. The lists are in no particular order, and nothing in them is modified.
type World struct {
	Config           Config
	Namespaces       []*corev1.Namespace
	ServiceAccounts  []*corev1.ServiceAccount
	Pods             []*corev1.Pod
	Services         []*corev1.Service
	TrafficTargets   []*access.TrafficTarget
	IdentityBindings []*access.IdentityBinding
	HTTPRouteGroups  []*specs.HTTPRouteGroup
	TCPRoutes        []*specs.TCPRoute
	UDPRoutes        []*specs.UDPRoute
	TrafficSplits    []*split.TrafficSplit
}

func (w *World) trustDomain() string {
	if w.Config.TrustDomain == "" {
		return "cluster.local"
	}
	return w.Config.TrustDomain
}

func (w *World) clusterDomain() string {
	if w.Config.ClusterDomain == "" {
		return "cluster.local"
	}
	return w.Config.ClusterDomain
}

func (w *World) pod(namespace, name string) *corev1.Pod {
	for _, pod := range w.Pods {
		if pod.Namespace == namespace && pod.Name == name {
			return pod
		}
	}
	return nil
}

func (w *World) service(namespace, name string) *corev1.Service {
	for _, service := range w.Services {
		if service.Namespace == namespace && service.Name == name {
			return service
		}
	}
	return nil
}

func (w *World) httpRouteGroup(namespace, name string) *specs.HTTPRouteGroup {
	for _, group := range w.HTTPRouteGroups {
		if group.Namespace == namespace && group.Name == name {
			return group
		}
	}
	return nil
}

func (w *World) tcpRoute(namespace, name string) *specs.TCPRoute {
	for _, route := range w.TCPRoutes {
		if route.Namespace == namespace && route.Name == name {
			return route
		}
	}
	return nil
}

func (w *World) identityBinding(namespace, name string) *access.IdentityBinding {
	for _, binding := range w.IdentityBindings {
		if binding.Namespace == namespace && binding.Name == name {
			return binding
		}
	}
	return nil
}

func meshed(pod *corev1.Pod) bool {
	return pod.Labels[labelInject] != "disabled"
}
