package v1alpha3

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/api/access/v1alpha4"
)

// AnnotationV1alpha4 keeps what v1alpha3 cannot hold of an object that was
// written as v1alpha4, while somebody looks at it as v1alpha3 (VE-2).
const AnnotationV1alpha4 = "smi-spec.io/access-v1alpha4"

// maxAnnotationBytes bounds an annotation before it is parsed. A longer one is
// no text of ours.
const maxAnnotationBytes = 64 << 10

// kept is the content of the annotation: the groups of subjects, each part with
// the hash of what it belongs to, so that an edit of a part drops what was kept
// of it and nothing else.
type kept struct {
	Destination *keptGroups `json:"destination,omitempty"`
	Sources     *keptGroups `json:"sources,omitempty"`
}

// keptGroups are the groups of a list of subjects, in its order.
type keptGroups struct {
	Hash   string   `json:"hash"`
	Groups []string `json:"groups"`
}

// ToV1alpha4 returns the object as v1alpha4, with what FromV1alpha4 had kept put
// back (VE-2). It shares no memory with its argument.
func ToV1alpha4(in *TrafficTarget) *v1alpha4.TrafficTarget {
	in = in.DeepCopy()
	out := &v1alpha4.TrafficTarget{
		TypeMeta:   typeMeta(in.TypeMeta, v1alpha4.SchemeGroupVersion.String()),
		ObjectMeta: in.ObjectMeta,
		Spec: v1alpha4.TrafficTargetSpec{
			Destination: subjectToV1alpha4(in.Spec.Destination),
			Sources:     convert(in.Spec.Sources, subjectToV1alpha4),
			Rules:       convert(in.Spec.Rules, func(r TrafficTargetRule) v1alpha4.TrafficTargetRule { return v1alpha4.TrafficTargetRule(r) }),
		},
		Status: v1alpha4.TrafficTargetStatus(in.Status),
	}
	text, found := in.Annotations[AnnotationV1alpha4]
	if !found {
		return out
	}
	dropAnnotation(&out.ObjectMeta)
	restored := parseKept(text)
	for _, group := range restored.Destination.of([]IdentityBindingSubject{in.Spec.Destination}) {
		out.Spec.Destination.Group = group
	}
	for i, group := range restored.Sources.of(in.Spec.Sources) {
		out.Spec.Sources[i].Group = group
	}
	return out
}

// FromV1alpha4 returns the object as v1alpha3. What v1alpha3 cannot hold is kept
// in the annotation AnnotationV1alpha4 (VE-2). It shares no memory with its
// argument.
func FromV1alpha4(in *v1alpha4.TrafficTarget) *TrafficTarget {
	in = in.DeepCopy()
	out := &TrafficTarget{
		TypeMeta:   typeMeta(in.TypeMeta, SchemeGroupVersion.String()),
		ObjectMeta: in.ObjectMeta,
		Spec: TrafficTargetSpec{
			Destination: subjectFromV1alpha4(in.Spec.Destination),
			Sources:     convert(in.Spec.Sources, subjectFromV1alpha4),
			Rules:       convert(in.Spec.Rules, func(r v1alpha4.TrafficTargetRule) TrafficTargetRule { return TrafficTargetRule(r) }),
		},
		Status: TrafficTargetStatus(in.Status),
	}
	dropAnnotation(&out.ObjectMeta)
	k := kept{
		Destination: keep([]v1alpha4.IdentityBindingSubject{in.Spec.Destination}),
		Sources:     keep(in.Spec.Sources),
	}
	if k == (kept{}) {
		return out
	}
	// Structs of strings always have a JSON form.
	text, _ := json.Marshal(k)
	metav1.SetMetaDataAnnotation(&out.ObjectMeta, AnnotationV1alpha4, string(text))
	return out
}

// typeMeta keeps an object without a kind without one, as objects from typed
// clients are.
func typeMeta(in metav1.TypeMeta, apiVersion string) metav1.TypeMeta {
	if in == (metav1.TypeMeta{}) {
		return in
	}
	return metav1.TypeMeta{Kind: in.Kind, APIVersion: apiVersion}
}

func subjectToV1alpha4(s IdentityBindingSubject) v1alpha4.IdentityBindingSubject {
	return v1alpha4.IdentityBindingSubject{Kind: s.Kind, Name: s.Name, Namespace: s.Namespace}
}

func subjectFromV1alpha4(s v1alpha4.IdentityBindingSubject) IdentityBindingSubject {
	return IdentityBindingSubject{Kind: s.Kind, Name: s.Name, Namespace: s.Namespace}
}

// convert keeps an absent list absent and an empty one empty.
func convert[From, To any](list []From, one func(From) To) []To {
	if list == nil {
		return nil
	}
	out := make([]To, len(list))
	for i := range list {
		out[i] = one(list[i])
	}
	return out
}

// keep returns the groups of the subjects, or nil if none has one.
func keep(subjects []v1alpha4.IdentityBindingSubject) *keptGroups {
	groups := convert(subjects, func(s v1alpha4.IdentityBindingSubject) string { return s.Group })
	if !slices.ContainsFunc(groups, func(g string) bool { return g != "" }) {
		return nil
	}
	return &keptGroups{Hash: hash(convert(subjects, subjectFromV1alpha4)), Groups: groups}
}

// of returns the groups that were kept of the subjects, or nothing if the
// subjects are no longer those.
func (k *keptGroups) of(subjects []IdentityBindingSubject) []string {
	if k == nil || len(k.Groups) != len(subjects) || k.Hash != hash(subjects) {
		return nil
	}
	return k.Groups
}

func hash(subjects []IdentityBindingSubject) string {
	text, _ := json.Marshal(subjects)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// parseKept returns nothing for a text that is not ours: an annotation that
// anybody can write must not make an object unreadable.
func parseKept(text string) kept {
	var k kept
	if len(text) > maxAnnotationBytes || json.Unmarshal([]byte(text), &k) != nil {
		return kept{}
	}
	return k
}

func dropAnnotation(meta *metav1.ObjectMeta) {
	if _, found := meta.Annotations[AnnotationV1alpha4]; !found {
		return
	}
	delete(meta.Annotations, AnnotationV1alpha4)
	if len(meta.Annotations) == 0 {
		meta.Annotations = nil
	}
}
