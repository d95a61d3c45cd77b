package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUnsettled notes what a control plane must have seen, until it has.
func TestUnsettled(t *testing.T) {
	target := &Target{unsettled: unsettled{}}
	one, two := Seen{"Pod", "shop", "one", "1"}, Seen{"Pod", "shop", "two", "2"}
	anew := Seen{"Pod", "shop", "one", "3"}
	gone := Seen{Kind: "Pod", Namespace: "shop", Name: "two"}
	for _, step := range []struct {
		name    string
		living  []Seen
		settled bool
		want    []Seen
	}{
		{"both run", []Seen{one, two}, true, []Seen{one, two}},
		{"one has changed and the other is gone", []Seen{anew}, false, []Seen{anew, gone}},
		{"nobody has said that it was seen", []Seen{anew}, true, []Seen{anew, gone}},
		{"it was seen", []Seen{anew}, true, []Seen{anew}},
	} {
		target.notePods(step.living)
		want := unsettled{}
		for _, s := range step.want {
			want.note(s)
		}
		if diff := cmp.Diff(want, target.unsettled); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if step.settled {
			clear(target.unsettled)
		}
	}
}

// TestRollingOut tells what keeps a workload from running as it was applied.
func TestRollingOut(t *testing.T) {
	running := appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1}
	now := metav1.Now()
	for name, test := range map[string]struct {
		meta   metav1.ObjectMeta
		status appsv1.DeploymentStatus
		want   string
	}{
		"it runs":            {metav1.ObjectMeta{Name: "a", Generation: 2}, running, ""},
		"it was not seen":    {metav1.ObjectMeta{Name: "a", Generation: 3}, running, "a: 1 of 1 ready, 1 of the last version"},
		"it is being ended":  {metav1.ObjectMeta{Name: "a", Generation: 2, DeletionTimestamp: &now}, running, "a is still there"},
		"no pod is ready":    {metav1.ObjectMeta{Name: "a"}, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1}, "a: 0 of 1 ready, 1 of the last version"},
		"an old one is left": {metav1.ObjectMeta{Name: "a"}, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 2}, "a: 2 of 1 ready, 1 of the last version"},
	} {
		if got := rollingOut(&appsv1.Deployment{ObjectMeta: test.meta, Status: test.status}); got != test.want {
			t.Errorf("%s: %q, wanted %q", name, got, test.want)
		}
	}
}
