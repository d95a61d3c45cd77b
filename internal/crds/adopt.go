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
// objects are stored in. Definitions older than structural schemas may have none;
// those say now what they meant, that every field is kept.
func kept(version map[string]any) map[string]any {
	copied := (&unstructured.Unstructured{Object: version}).DeepCopy().Object
	copied["storage"] = false
	if len(schemaOf(copied)) == 0 {
		copied["schema"] = map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "x-kubernetes-preserve-unknown-fields": true,
		}}
	}
	return copied
}
