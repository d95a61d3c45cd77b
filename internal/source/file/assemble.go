package file

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// assembly puts together what all files say.
type assembly struct {
	result *Result
	// workloads are all that the files have.
	workloads map[mesh.ObjectRef]bool
	pods      int
}

func assemble(sources []*source) *Result {
	a := &assembly{
		result:    &Result{Positions: map[store.Object]Position{}, places: map[mesh.ObjectRef]Position{}},
		workloads: map[mesh.ObjectRef]bool{},
	}
	for _, s := range sources {
		for _, p := range s.entries {
			if p.workload != nil {
				a.workloads[p.ref] = true
			}
		}
	}
	for _, s := range sources {
		a.result.Findings = append(a.result.Findings, s.findings...)
		for _, p := range s.entries {
			a.add(p)
		}
	}
	return a.result
}

func (a *assembly) add(p placed) {
	switch {
	case p.broken() || a.hasMaker(p.owner) || !a.claim(p.ref, p.at):
	case p.object != nil:
		a.put(p.object, p.at)
	default:
		a.addWorkload(p)
	}
}

// hasMaker tells whether the files also have the workload that made an object.
// What a cluster says of a Deployment has its ReplicaSets and Pods beside it;
// the Pods that we make of the Deployment stand for them.
func (a *assembly) hasMaker(owner mesh.ObjectRef) bool {
	if a.workloads[owner] {
		return true
	}
	i := strings.LastIndexByte(owner.Name, '-')
	return owner.Kind == "ReplicaSet" && i > 0 &&
		a.workloads[mesh.ObjectRef{Kind: "Deployment", Namespace: owner.Namespace, Name: owner.Name[:i]}]
}

// claim gives a name to the object at a place, unless another has it already.
func (a *assembly) claim(ref mesh.ObjectRef, at Position) bool {
	first, taken := a.result.places[ref]
	if !taken {
		a.result.places[ref] = at
		return true
	}
	a.report(ref, at, "Duplicate", fmt.Sprintf("%s is given twice, first at %s, which counts; this one is left out", ref, first))
	return false
}

func (a *assembly) put(o store.Object, at Position) {
	a.result.Objects = append(a.result.Objects, o)
	a.result.Positions[o] = at
}

func (a *assembly) addWorkload(p placed) {
	if a.pods += max(0, p.workload.replicas); a.pods > MaxPods {
		a.report(p.ref, p.at, "TooLarge", fmt.Sprintf("the workloads up to here ask for more than %d Pods; this one is left out", MaxPods))
		return
	}
	w := p.workload.expand()
	taken := map[*corev1.Pod]bool{}
	for _, pod := range w.Pods {
		if a.claim(mesh.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, p.at) {
			a.put(pod, p.at)
		} else {
			taken[pod] = true
		}
	}
	if len(taken) > 0 {
		w = &Workload{Kind: w.Kind, Name: w.Name, Pods: slices.DeleteFunc(slices.Clone(w.Pods), func(p *corev1.Pod) bool { return taken[p] })}
	}
	a.result.Workloads = append(a.result.Workloads, w)
}

func (a *assembly) report(ref mesh.ObjectRef, at Position, reason, message string) {
	a.result.Findings = append(a.result.Findings, mesh.Finding{
		Severity: mesh.Error, Object: ref, Reason: reason, Message: at.String() + ": " + message,
	})
}
