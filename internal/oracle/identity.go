package oracle

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
)

// account is a workload's identity: its ServiceAccount (ID-1). The zero value is a peer without identity (ID-3).
type account struct {
	namespace string
	name      string
}

func (a account) String() string {
	return a.namespace + "/" + a.name
}

// accountOf is the ServiceAccount that the pod runs under; Kubernetes names it "default" where the pod does not say.
func accountOf(pod *corev1.Pod) account {
	if pod.Spec.ServiceAccountName == "" {
		return account{pod.Namespace, "default"}
	}
	return account{pod.Namespace, pod.Spec.ServiceAccountName}
}

// subjectMeans says whether a source or destination of a TrafficTarget means the account.
// Reading: a subject whose kind or group is not one of ours, or that has no name, means nobody. A ServiceAccount means its
// identity, whether or not the object is there, as no pod runs without it.
func (w *World) subjectMeans(subject access.IdentityBindingSubject, target *access.TrafficTarget, peer account) bool {
	if peer == (account{}) || subject.Name == "" { // ID-3
		return false
	}
	namespace := subject.Namespace
	if namespace == "" {
		namespace = target.Namespace // AC-5
	}
	switch {
	case subject.Kind == "ServiceAccount" && subject.Group == "":
		return peer == account{namespace, subject.Name}
	case subject.Kind == "IdentityBinding" && (subject.Group == "" || subject.Group == access.GroupName):
		binding := w.identityBinding(namespace, subject.Name)
		return binding != nil && w.bindingMeans(binding, peer)
	}
	return false
}

// bindingMeans carries out ID-4 and ID-5. No other trust domain is configured, so their ids contribute nothing.
func (w *World) bindingMeans(binding *access.IdentityBinding, peer account) bool {
	schemes := binding.Spec.Schemes
	// ID-4: an empty selector, or a selector beside an account, voids the whole binding.
	if schemes.PodLabelSelector != nil && (len(schemes.PodLabelSelector.MatchLabels) == 0 || schemes.ServiceAccount != "") {
		return false
	}
	// ID-4: it speaks for its own namespace only.
	if peer.namespace != binding.Namespace {
		return false
	}
	if schemes.ServiceAccount != "" && schemes.ServiceAccount == peer.name {
		return true
	}
	for _, id := range schemes.SPIFFEIdentities {
		// ID-4: read with and without the scheme.
		if strings.TrimPrefix(id, "spiffe://") == w.trustDomain()+"/ns/"+peer.namespace+"/sa/"+peer.name {
			return true
		}
	}
	return schemes.PodLabelSelector != nil && w.selectorCovers(schemes.PodLabelSelector.MatchLabels, peer)
}

// selectorCovers says whether the labels select every pod of the account, and at least one (ID-5).
// Reading: every pod object counts, unready and unmeshed ones too.
func (w *World) selectorCovers(labels map[string]string, peer account) bool {
	selected := 0
	for _, pod := range w.Pods {
		if accountOf(pod) != peer {
			continue
		}
		if !containsLabels(pod.Labels, labels) {
			return false
		}
		selected++
	}
	return selected > 0
}
