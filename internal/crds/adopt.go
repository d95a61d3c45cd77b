package crds

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// adopt returns what is to be applied where the cluster has live already: ours,
// and the versions of live that ours does not have. Objects may be stored in
// those, and clients may speak them, so they stay served as they were; but new
// objects are stored in our version. A nil live leaves ours as it is.
//
// The result carries live's resource version, so that applying it fails if
// somebody has changed live meanwhile.
func adopt(ours, live Definition) (Definition, error) {
	merged := Definition{ours.DeepCopy()}
	if live.Unstructured == nil {
		return merged, nil
	}
	versions, _, err := unstructured.NestedSlice(merged.Object, "spec", "versions")
	if err != nil {
		return Definition{}, err
	}
	for _, version := range foreign(ours, live) {
		versions = append(versions, kept(version))
	}
	if err := unstructured.SetNestedSlice(merged.Object, versions, "spec", "versions"); err != nil {
		return Definition{}, err
	}
	if pruned, found, _ := unstructured.NestedBool(live.Object, "spec", "preserveUnknownFields"); found && pruned {
		// Left out, it would stay as it is, and with it our schemas would prune nothing.
		if err := unstructured.SetNestedField(merged.Object, false, "spec", "preserveUnknownFields"); err != nil {
			return Definition{}, err
		}
	}
	merged.SetResourceVersion(live.GetResourceVersion())
	return merged, nil
}

// foreign are the versions of live that ours does not have.
func foreign(ours, live Definition) []map[string]any {
	return slices.DeleteFunc(live.versions(), func(v map[string]any) bool {
		name, _ := v["name"].(string)
		return ours.version(name) != nil
	})
}

// kept is a version of another implementation as it stays: no longer the one that
// objects are stored in, and with a schema that checks what it checked but drops
// nothing. Otherwise clients of that version would take from objects what only ours
// has, such as their status; and server-side apply, which looks at an object in every
// version that somebody wrote it in, would fail. A definition older than schemas has
// none, which meant the same.
func kept(version map[string]any) map[string]any {
	copied := (&unstructured.Unstructured{Object: version}).DeepCopy().Object
	copied["storage"] = false
	known := schemaOf(copied)
	if len(known) == 0 {
		known = map[string]any{"type": "object"}
	}
	keepUnknown(known)
	copied["schema"] = map[string]any{"openAPIV3Schema": known}
	return copied
}

// keepUnknown lets a schema keep, at every level, fields that it does not know.
func keepUnknown(known map[string]any) {
	if _, anyName := known["additionalProperties"]; known["type"] == "object" && !anyName {
		known["x-kubernetes-preserve-unknown-fields"] = true
	}
	for _, below := range []string{"items", "additionalProperties"} {
		if deeper, ok := known[below].(map[string]any); ok {
			keepUnknown(deeper)
		}
	}
	properties, _ := known["properties"].(map[string]any)
	for name, property := range properties {
		// The API server itself says what metadata has.
		if deeper, ok := property.(map[string]any); ok && name != "metadata" {
			keepUnknown(deeper)
		}
	}
}
