package crds

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestAdoptOldDefinition covers what no API server of today lets a test create:
// a definition from before schemas were needed.
func TestAdoptOldDefinition(t *testing.T) {
	t.Parallel()
	ours := parsed(t, `{spec: {versions: [{name: v1alpha4, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`)
	live := parsed(t, `
metadata: {resourceVersion: "7"}
spec: {preserveUnknownFields: true, versions: [{name: v1alpha1, served: true, storage: true}, {name: v1alpha4, served: false, storage: false}]}`)
	merged, err := adopt(ours, live)
	if err != nil {
		t.Fatal(err)
	}
	want := parsed(t, `
metadata: {resourceVersion: "7"}
spec:
  preserveUnknownFields: false
  versions:
  - {name: v1alpha4, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  - {name: v1alpha1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}`)
	if d := cmp.Diff(want.Object, merged.Object); d != "" {
		t.Error(d)
	}
	if len(ours.versions()) != 1 || live.version("v1alpha1")["storage"] != true {
		t.Error("the inputs were changed")
	}
}

func TestKeepUnknown(t *testing.T) {
	t.Parallel()
	known := parsed(t, `
type: object
properties:
  metadata: {type: object, properties: {name: {type: string}}}
  spec:
    type: object
    required: [name]
    properties:
      name: {type: string, maxLength: 3}
      labels: {type: object, additionalProperties: {type: string}}
      list: {type: array, items: {type: object, properties: {port: {type: integer}}}}`).Object
	keepUnknown(known)
	want := parsed(t, `
type: object
x-kubernetes-preserve-unknown-fields: true
properties:
  metadata: {type: object, properties: {name: {type: string}}}
  spec:
    type: object
    x-kubernetes-preserve-unknown-fields: true
    required: [name]
    properties:
      name: {type: string, maxLength: 3}
      labels: {type: object, additionalProperties: {type: string}}
      list: {type: array, items: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {port: {type: integer}}}}`).Object
	if d := cmp.Diff(want, known); d != "" {
		t.Error(d)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	known := parsed(t, `
type: object
properties:
  spec:
    type: object
    properties:
      name: {type: string}
      anything: {type: object, x-kubernetes-preserve-unknown-fields: true}
      labels: {type: object, additionalProperties: {type: string}}
      list: {type: array, items: {type: object, properties: {port: {type: integer}}}}`).Object
	for _, test := range []struct {
		name, object string
		want         []string
	}{
		{"known", `{apiVersion: a/v1, kind: A, metadata: {any: 1}, status: {any: 1}, spec: {name: x, labels: {a: b}, list: [{port: 1}]}}`, nil},
		{"kept whatever it is", `{spec: {anything: {deep: {er: 1}}}}`, nil},
		{"outside the spec, as before v1alpha3", `{specs: [], sources: []}`, []string{"sources", "specs"}},
		{"inside, once for a list", `{spec: {list: [{port: 1, x: 1}, {x: 2}], z: null}}`, []string{"spec.list[].x", "spec.z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(test.want, unknown(known, parsed(t, test.object).Object, "")); d != "" {
				t.Error(d)
			}
		})
	}
}

func parsed(t *testing.T, text string) Definition {
	t.Helper()
	d := Definition{&unstructured.Unstructured{}}
	if err := yaml.Unmarshal([]byte(text), &d.Object); err != nil {
		t.Fatal(err)
	}
	return d
}
