package worldgen

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
)

// firstDay is when the oldest split was made.
var firstDay = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// trafficSplits has few roots, so that several splits meet at one. Within a world either all splits have a timestamp or none has.
func (b *builder) trafficSplits(namespace string) {
	var services []string
	for _, service := range b.w.Services {
		if service.Namespace == namespace {
			services = append(services, service.Name)
		}
	}
	aged := b.percent(60)
	for i := range b.between(0, 5) {
		// The names do not follow the age.
		s := &split.TrafficSplit{ObjectMeta: meta(namespace, fmt.Sprintf("s%d", 9-i))}
		if aged {
			s.CreationTimestamp = metav1.NewTime(firstDay.Add(time.Duration(b.IntN(3)) * time.Hour))
		}
		if b.percent(20) {
			s.Annotations = map[string]string{"smi-spec.io/empty-backends": pick(b.dice, []string{"skip", "skip", "keep"})}
		}
		s.Spec.Service = b.serviceName(services[min(b.IntN(4), b.IntN(len(services)))], namespace)
		for _, backend := range some(b.dice, services, b.between(1, 4)) {
			s.Spec.Backends = append(s.Spec.Backends, split.TrafficSplitBackend{Service: b.serviceName(backend, namespace), Weight: pick(b.dice, weights)})
		}
		s.Spec.Matches = b.splitMatches()
		b.w.TrafficSplits = append(b.w.TrafficSplits, s)
	}
}

// serviceName is mostly the bare name, else one of the other forms of TS-1, another namespace, or no name at all.
func (b *builder) serviceName(name, namespace string) string {
	switch form := b.IntN(100); {
	case form < 70:
		return name
	case form < 77:
		return name + "." + namespace
	case form < 82:
		return name + "." + namespace + ".svc"
	case form < 88:
		return name + "." + namespace + ".svc.cluster.local"
	case form < 92:
		return name + "." + pick(b.dice, []string{"elsewhere", "shop", "bank"})
	case form < 95:
		return missing
	}
	return pick(b.dice, []string{name + ".", name + "." + namespace + ".svc.cluster.local.", name + "." + namespace + ".pod", name + ":80", "." + name})
}

func (b *builder) splitMatches() []corev1.TypedLocalObjectReference {
	if b.percent(50) {
		return nil
	}
	references := []corev1.TypedLocalObjectReference{}
	if b.percent(7) {
		return references // the same as none
	}
	for range b.between(1, 2) {
		reference := corev1.TypedLocalObjectReference{Kind: "HTTPRouteGroup", Name: pick(b.dice, groupNames)}
		if b.percent(40) {
			group := specs.GroupName
			reference.APIGroup = &group
		}
		switch {
		case b.percent(4):
			reference.Kind = "HTTPRoute"
		case b.percent(7):
			reference.Name = missing
		}
		references = append(references, reference)
	}
	return references
}
