package scaletest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/store"
)

// Change is a kind of edit of one object.
type Change struct {
	Name string
	// Edit returns a new version of one of the world's objects, another one for
	// each round.
	Edit func(w *World, round int) store.Object
}

// Changes are the edits that are measured.
func Changes() []Change {
	return []Change{
		{"weight of a split", func(w *World, round int) store.Object { return w.Reweigh(round) }},
		{"source of a TrafficTarget", func(w *World, round int) store.Object { return w.Resource(round) }},
		{"target port of a Service", func(w *World, round int) store.Object { return w.Retarget(round) }},
		{"port of a Service", func(w *World, round int) store.Object { return w.Report(round) }},
	}
}

// Reweigh is a split with other weights. It never has the weights that the
// split had in the round before.
func (w *World) Reweigh(round int) *split.TrafficSplit {
	i := round % len(w.Splits)
	s := w.Splits[i].DeepCopy()
	s.Spec.Backends[0].Weight += 1 + round%50
	w.Splits[i] = s
	return s
}

// Resource is a TrafficTarget whose first source is another one.
func (w *World) Resource(round int) *access.TrafficTarget {
	i := round % len(w.Targets)
	t := w.Targets[i].DeepCopy()
	t.Spec.Sources[0] = w.account((i*7 + 3 + round) % w.Size.Services)
	w.Targets[i] = t
	return t
}

// Report is a Service whose port has another number.
func (w *World) Report(round int) *corev1.Service {
	i := round % len(w.Services)
	s := w.Services[i].DeepCopy()
	s.Spec.Ports[0].Port = ServicePort + 1 + int32(round%100)
	w.Services[i] = s
	return s
}

// Retarget is a Service that leads to another port of its pod.
func (w *World) Retarget(round int) *corev1.Service {
	i := round % len(w.Services)
	s := w.Services[i].DeepCopy()
	s.Spec.Ports[0].TargetPort = intstr.FromInt32(PodPort + 1 + int32(round%100))
	w.Services[i] = s
	return s
}
