package file_test

import (
	"testing"

	"github.com/smi-project/smi/internal/source/file"
)

// Nothing that a file contains makes the reader panic, and what it does read has
// names, no two the same, and places.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", everyKind, storeDeployment, "a: [", "---\n...\n---", "%YAML 1.1\n---\na", "\xff\xfea", "\ufeffa: b", "{\"a\":", "[1,2,{}]", "{}{}",
		"kind: List\napiVersion: v1\nitems: [{}, null, 1, [], {kind: 1}, {metadata: {}}]",
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: &m {name: a, labels: *m}",
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {<<: &a {name: b}, annotations: {<<: [*a, *a], c: y}}",
		"apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: s}\nspec: {backends: [{weight: 1e999}, {weight: .nan}, {weight: 0x10}]}",
		"apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: s}\nspec: {matches: [{headers: [{a: b}, c, {}]}]}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, creationTimestamp: 2001-01-01, ownerReferences: [{controller: true}]}\nspec: {containers: [{resources: {limits: {cpu: x}}}]}",
		"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {parallelism: -1, completions: -5}",
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: j}\nspec: {replicas: 3, ordinals: {start: 2147483647}}",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, offline bool) {
		r := load(t, string(data), file.Options{Offline: offline})
		seen := map[string]bool{}
		for _, o := range r.Objects {
			key := typeOf(o) + " " + o.GetNamespace() + "/" + o.GetName()
			if o.GetName() == "" || seen[key] {
				t.Errorf("%s has no name or not one of its own", key)
			}
			seen[key] = true
			if at := r.Positions[o]; at.Line < 1 {
				t.Errorf("%s is at %v", key, at)
			}
		}
		for _, finding := range r.Findings {
			if finding.Message == "" || finding.Reason == "" || finding.Object.Kind == "" {
				t.Errorf("incomplete finding: %+v", finding)
			}
		}
	})
}
