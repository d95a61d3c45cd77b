package crds

import (
	"fmt"
	"io/fs"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/config/crd"
)

// definitionKind is what this package reads and writes. Definitions stay maps:
// what others wrote into one must come back as it was, fields that are newer than
// this program included.
var definitionKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// Definition is one CustomResourceDefinition.
type Definition struct{ *unstructured.Unstructured }

// Ours returns the definitions that this program brings, sorted by file.
func Ours() ([]Definition, error) {
	paths, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []Definition
	for _, path := range paths {
		text, err := crd.Files.ReadFile(path)
		if err != nil {
			return nil, err
		}
		d := newDefinition()
		if err := yaml.Unmarshal(text, &d.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		d.SetLabels(map[string]string{"app.kubernetes.io/part-of": "smi"})
		all = append(all, d)
	}
	return all, nil
}

func newDefinition() Definition {
	d := Definition{&unstructured.Unstructured{}}
	d.SetGroupVersionKind(definitionKind)
	return d
}

// versions are the entries of spec.versions. They are not copies.
func (d Definition) versions() []map[string]any {
	list, _, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "versions")
	entries, _ := list.([]any)
	var out []map[string]any
	for _, entry := range entries {
		if version, ok := entry.(map[string]any); ok {
			out = append(out, version)
		}
	}
	return out
}

// version returns the version of that name, or nil.
func (d Definition) version(name string) map[string]any {
	for _, v := range d.versions() {
		if v["name"] == name {
			return v
		}
	}
	return nil
}

// storage is the version that objects are written in.
func (d Definition) storage() map[string]any {
	for _, v := range d.versions() {
		if v["storage"] == true {
			return v
		}
	}
	return nil
}

// storedVersions are those that objects may still be stored in.
func (d Definition) storedVersions() []string {
	names, _, _ := unstructured.NestedStringSlice(d.Object, "status", "storedVersions")
	return names
}

// hasWebhook tells whether versions become each other by a webhook. A nil d has none.
func (d Definition) hasWebhook() bool {
	if d.Unstructured == nil {
		return false
	}
	strategy, _, _ := unstructured.NestedString(d.Object, "spec", "conversion", "strategy")
	return strategy == "Webhook"
}

// schemaOf is the schema of a version, or nil.
func schemaOf(version map[string]any) map[string]any {
	s, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
	return s
}

// objects is the kind of the objects that d defines, in one of its versions.
func (d Definition) objects(version string) schema.GroupVersionKind {
	group, _, _ := unstructured.NestedString(d.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(d.Object, "spec", "names", "kind")
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// established tells whether the API server serves d.
func (d Definition) established() bool { return d.condition("Established")["status"] == "True" }

// condition returns one of the conditions in d's status, or nil.
func (d Definition) condition(name string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, entry := range conditions {
		if c, ok := entry.(map[string]any); ok && c["type"] == name {
			return c
		}
	}
	return nil
}

// appliedBy tells whether a field manager has applied d before.
func (d Definition) appliedBy(manager string) bool {
	for _, entry := range d.GetManagedFields() {
		if entry.Manager == manager && strings.EqualFold(string(entry.Operation), "apply") {
			return true
		}
	}
	return false
}
