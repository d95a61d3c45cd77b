package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/smi-project/smi/conformance"
)

// manager owns the fields of what the suite applies.
const manager = "smi-conformance"

// objectKey tells objects apart, whatever version they are written in.
type objectKey struct {
	kind            schema.GroupKind
	namespace, name string
}

func keyOf(o *unstructured.Unstructured) objectKey {
	return objectKey{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
}

// applied is what was applied last, in the order in which it was.
type applied struct {
	order   []objectKey
	objects map[objectKey]*unstructured.Unstructured
}

func newApplied() *applied { return &applied{objects: map[objectKey]*unstructured.Unstructured{}} }

func (a *applied) empty() bool { return len(a.order) == 0 }

// become applies what is new or differs, removes what is no longer there, and notes
// the objects that were changed as the API server has them. A mesh's refusal is a
// *conformance.Refused.
func (t *Target) become(ctx context.Context, objects []*unstructured.Unstructured) error {
	next := newApplied()
	for _, o := range objects {
		next.order = append(next.order, keyOf(o))
		next.objects[keyOf(o)] = o
	}
	for _, key := range slices.Backward(t.applied.order) {
		if next.objects[key] != nil {
			continue
		}
		if err := t.remove(ctx, t.applied.objects[key]); err != nil {
			return err
		}
		t.unsettled.note(Seen{Kind: key.kind.Kind, Namespace: key.namespace, Name: key.name})
	}
	// What is applied from here on is known even if one of them is refused.
	before := t.applied
	t.applied = &applied{objects: map[objectKey]*unstructured.Unstructured{}}
	for _, key := range next.order {
		o := next.objects[key]
		if was := before.objects[key]; was != nil && equality.Semantic.DeepEqual(was, o) {
			t.applied.keep(key, o)
			continue
		}
		got, err := t.put(ctx, o)
		if err != nil {
			t.applied.rest(before, next)
			return err
		}
		t.applied.keep(key, o)
		t.unsettled.note(Seen{key.kind.Kind, key.namespace, key.name, got.GetResourceVersion()})
	}
	return nil
}

func (a *applied) keep(key objectKey, o *unstructured.Unstructured) {
	a.order = append(a.order, key)
	a.objects[key] = o
}

// rest keeps what of the state before is still on the cluster.
func (a *applied) rest(before, next *applied) {
	for _, key := range before.order {
		if a.objects[key] == nil && next.objects[key] != nil {
			a.keep(key, before.objects[key])
		}
	}
}

func (t *Target) put(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := t.resource(o)
	if err != nil {
		return nil, err
	}
	got, err := resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return nil, &conformance.Refused{Object: describe(o), Reason: err.Error()}
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be applied: %w", describe(o), err)
	}
	return got, nil
}

func (t *Target) remove(ctx context.Context, o *unstructured.Unstructured) error {
	resource, err := t.resource(o)
	if err != nil {
		return err
	}
	var options metav1.DeleteOptions
	if o.GetKind() == "Deployment" {
		// It is there as long as one of its pods is, which rollOut waits for.
		options.PropagationPolicy = new(metav1.DeletePropagationForeground)
	}
	err = resource.Delete(ctx, o.GetName(), options)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s cannot be removed: %w", describe(o), err)
	}
	return nil
}

// resource finds where objects of the kind are served.
func (t *Target) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		t.mapper.Reset()
		mapping, err = t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the cluster serves no %s of %s: install the mesh with its CustomResourceDefinitions first", gvk.Kind, gvk.GroupVersion()), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return t.dynamic.Resource(mapping.Resource), nil
	}
	return t.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

func describe(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}
