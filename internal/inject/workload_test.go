package inject_test

import (
	"math"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWorkload(t *testing.T) {
	owned := func(kind, name string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: "Cluster", Name: "other"}, {Kind: kind, Name: name, Controller: new(true)}}
	}
	for name, c := range map[string]struct {
		owners []metav1.OwnerReference
		hash   string
		want   string
	}{
		"of a Deployment":                  {owned("ReplicaSet", "web-6f8c"), "6f8c", "web"},
		"of a ReplicaSet alone":            {owned("ReplicaSet", "web-6f8c"), "", "web-6f8c"},
		"of a ReplicaSet of another hash":  {owned("ReplicaSet", "web-6f8c"), "77aa", "web-6f8c"},
		"of a StatefulSet named like that": {owned("StatefulSet", "web-6f8c"), "6f8c", "web-6f8c"},
		"of nobody who controls it":        {owned("Job", "x")[:1], "", ""},
		"of nobody":                        {nil, "6f8c", ""},
	} {
		namespace, pod := ordinary()
		pod.OwnerReferences = c.owners
		pod.Labels = map[string]string{"pod-template-hash": c.hash}
		injected, err := newInjector(t, options()).Inject(namespace, pod)
		if err != nil {
			t.Fatal(err)
		}
		if got := settingsOf(t, injected).Workload; got != c.want {
			t.Errorf("%s: the workload is %q and should be %q", name, got, c.want)
		}
	}
}

// TestGracePeriods shows the bounds within which a pod is given more time.
func TestGracePeriods(t *testing.T) {
	for grace, want := range map[int64]int64{
		-1: -1, 0: 0, 1: 6, 30: 35, math.MaxInt32: math.MaxInt32 + 5, math.MaxInt32 + 1: math.MaxInt32 + 1, math.MaxInt64: math.MaxInt64,
	} {
		namespace, pod := ordinary()
		pod.Spec.TerminationGracePeriodSeconds = &grace
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "own", Lifecycle: &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"finish"}}},
		}})
		injected, err := newInjector(t, options()).Inject(namespace, pod)
		if err != nil {
			t.Fatal(err)
		}
		if given := graceOf(injected); given != want {
			t.Errorf("%d s of grace become %d and should become %d", grace, given, want)
		}
		if slept := injected.Spec.Containers[0].Lifecycle != nil; slept != (graceOf(injected) != grace) {
			t.Errorf("%d s of grace: a hook %v goes with %d s", grace, slept, graceOf(injected))
		}
	}
}

func graceOf(pod *corev1.Pod) int64 { return *pod.Spec.TerminationGracePeriodSeconds }
