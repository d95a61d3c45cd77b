package v1alpha3

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/api/access/v1alpha4"
)

func TestRoundTripFromV1alpha3(t *testing.T) {
	t.Parallel()
	tests := map[string]*TrafficTarget{
		"empty": {},
		"full": {
			TypeMeta:   metav1.TypeMeta{APIVersion: "access.smi-spec.io/v1alpha3", Kind: "TrafficTarget"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a", Annotations: map[string]string{"x": "y"}},
			Spec: TrafficTargetSpec{
				Destination: IdentityBindingSubject{Kind: "ServiceAccount", Name: "store", Namespace: "shop"},
				Sources:     []IdentityBindingSubject{{Kind: "ServiceAccount", Name: "buyer"}, {Kind: "ServiceAccount", Name: "thief", Namespace: "den"}},
				Rules:       []TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "routes", Matches: []string{"buy"}}, {Kind: "TCPRoute", Name: "port"}},
			},
			Status: TrafficTargetStatus{Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted"}}},
		},
		"empty lists": {Spec: TrafficTargetSpec{Sources: []IdentityBindingSubject{}, Rules: []TrafficTargetRule{{Matches: []string{}}}}},
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := in.DeepCopy()
			hub := ToV1alpha4(in)
			if in.APIVersion != "" && hub.APIVersion != "access.smi-spec.io/v1alpha4" {
				t.Errorf("apiVersion is %q", hub.APIVersion)
			}
			if diff := cmp.Diff(in, FromV1alpha4(hub)); diff != "" {
				t.Errorf("it came back different (-want +got):\n%s", diff)
			}
			hub.Spec.Destination.Name = "changed"
			for i := range hub.Spec.Sources {
				hub.Spec.Sources[i].Name = "changed"
			}
			if diff := cmp.Diff(before, in); diff != "" {
				t.Errorf("the conversion shares memory (-want +got):\n%s", diff)
			}
		})
	}
}

// hub has groups, which v1alpha3 cannot hold.
func hub() *v1alpha4.TrafficTarget {
	return &v1alpha4.TrafficTarget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "access.smi-spec.io/v1alpha4", Kind: "TrafficTarget"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"},
		Spec: v1alpha4.TrafficTargetSpec{
			Destination: v1alpha4.IdentityBindingSubject{Kind: "IdentityBinding", Name: "store", Group: "access.smi-spec.io"},
			Sources: []v1alpha4.IdentityBindingSubject{
				{Kind: "ServiceAccount", Name: "buyer"},
				{Kind: "IdentityBinding", Name: "thieves", Group: "access.smi-spec.io"},
			},
			Rules: []v1alpha4.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "routes"}},
		},
	}
}

func TestRoundTripFromV1alpha4(t *testing.T) {
	t.Parallel()
	in := hub()
	old := FromV1alpha4(in)
	if old.Annotations[AnnotationV1alpha4] == "" {
		t.Error("the groups are not kept")
	}
	if diff := cmp.Diff(in, ToV1alpha4(old)); diff != "" {
		t.Errorf("it came back different (-want +got):\n%s", diff)
	}
}

func TestEditDropsWhatWasKeptOfThePart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit        func(*TrafficTarget)
		destination string
		source      string
	}{
		"nothing":     {func(*TrafficTarget) {}, "access.smi-spec.io", "access.smi-spec.io"},
		"rules":       {func(o *TrafficTarget) { o.Spec.Rules = nil }, "access.smi-spec.io", "access.smi-spec.io"},
		"destination": {func(o *TrafficTarget) { o.Spec.Destination.Name = "b" }, "", "access.smi-spec.io"},
		"source":      {func(o *TrafficTarget) { o.Spec.Sources[0].Name = "b" }, "access.smi-spec.io", ""},
		"order": {func(o *TrafficTarget) {
			o.Spec.Sources[0], o.Spec.Sources[1] = o.Spec.Sources[1], o.Spec.Sources[0]
		}, "access.smi-spec.io", ""},
		"fewer":         {func(o *TrafficTarget) { o.Spec.Sources = o.Spec.Sources[1:] }, "access.smi-spec.io", ""},
		"no annotation": {func(o *TrafficTarget) { o.Annotations = nil }, "", ""},
		"not JSON":      {func(o *TrafficTarget) { o.Annotations[AnnotationV1alpha4] = "{" }, "", ""},
		"another shape": {func(o *TrafficTarget) { o.Annotations[AnnotationV1alpha4] = `{"sources":[1]}` }, "", ""},
		"endless":       {func(o *TrafficTarget) { o.Annotations[AnnotationV1alpha4] += strings.Repeat(" ", maxAnnotationBytes) }, "", ""},
		"a foreign hash": {func(o *TrafficTarget) {
			o.Annotations[AnnotationV1alpha4] = `{"destination":{"hash":"","groups":["x"]}}`
		}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := FromV1alpha4(hub())
			test.edit(old)
			got := ToV1alpha4(old)
			if got.Spec.Destination.Group != test.destination {
				t.Errorf("destination has the group %q, want %q", got.Spec.Destination.Group, test.destination)
			}
			if last := got.Spec.Sources[len(got.Spec.Sources)-1]; last.Group != test.source {
				t.Errorf("source has the group %q, want %q", last.Group, test.source)
			}
			if _, found := got.Annotations[AnnotationV1alpha4]; found {
				t.Error("the annotation is still there")
			}
		})
	}
}

// TestWrittenAnnotation: one that somebody wrote into a v1alpha4 object says
// nothing about it.
func TestWrittenAnnotation(t *testing.T) {
	t.Parallel()
	in := hub()
	in.Annotations = map[string]string{AnnotationV1alpha4: "forged"}
	in.Spec.Destination.Group, in.Spec.Sources[1].Group = "", ""
	if got := FromV1alpha4(in); got.Annotations != nil {
		t.Errorf("got the annotations %v", got.Annotations)
	}
}
