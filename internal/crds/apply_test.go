package crds_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/kube/kubetest"
)

const splits = "trafficsplits.split.smi-spec.io"

// others is the definition that another implementation of SMI has installed: an
// older version, which is stored, one that nobody serves any more, and a webhook.
const others = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: trafficsplits.split.smi-spec.io
  annotations: {meta.helm.sh/release-name: other, meta.helm.sh/release-namespace: other-system}
spec:
  group: split.smi-spec.io
  scope: Namespaced
  names: {kind: TrafficSplit, plural: trafficsplits, singular: trafficsplit, listKind: TrafficSplitList, shortNames: [split]}
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {name: other, namespace: other-system, path: /convert}}
  versions:
  - name: v1alpha2
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              service: {type: string}
              backends:
                type: array
                items:
                  type: object
                  properties: {service: {type: string}, weight: {type: integer}, region: {type: string}}
  - name: v1alpha1
    served: false
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {old: {type: string}}}}
`

const split = `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: canary, namespace: default}
spec: {service: web, backends: [{service: web-1, weight: 90}, {service: web-2, weight: 10}]}
`

// TestOnACluster is the life of definitions in a cluster in which another
// implementation of SMI has been before.
func TestOnACluster(t *testing.T) {
	c := kubetest.Client(t, kubetest.Start(t))
	create(t, c, others)
	create(t, c, strings.ReplaceAll(split, "weight: 90", "weight: 90, region: north"))
	for _, step := range []struct {
		name string
		run  func(t *testing.T, c client.Client)
	}{
		{"diff shows what would become of it", foresees},
		{"where an object would lose a field, nothing happens", refuses},
		{"definitions are made, and adopted", adopts},
		{"an object of another version gets a status, and keeps it", hasStatus},
		{"the second time nothing changes", rests},
		{"what somebody has changed comes back", repairs},
		{"a conversion webhook is taken out", resets},
		{"deletion leaves nothing", deletes},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) {
			t.FailNow()
		}
	}
}

func foresees(t *testing.T, c client.Client) {
	got := differs(t, c)
	for _, want := range []string{"+  name: tcproutes.specs.smi-spec.io", "-    strategy: Webhook", "+    strategy: None", "+    name: v1alpha4"} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("diff does not show %q:\n%s", want, got)
		}
	}
}

func refuses(t *testing.T, c client.Client) {
	var reported []string
	err := crds.Apply(t.Context(), c, crds.Options{Report: func(line string) { reported = append(reported, line) }})
	if err == nil || !strings.Contains(err.Error(), "default/canary (spec.backends[].region)") || !strings.Contains(err.Error(), "--accept-loss") {
		t.Errorf("it says: %v", err)
	}
	if len(reported) > 0 || get(t, c, "tcproutes.specs.smi-spec.io") != nil {
		t.Errorf("something was applied: %q", reported)
	}
}

func adopts(t *testing.T, c client.Client) {
	reported := apply(t, c, crds.Options{AcceptLoss: true})
	for _, want := range []string{
		"tcproutes.specs.smi-spec.io: created",
		splits + ": adopted, keeps the versions of others: v1alpha2, v1alpha1",
		"warning: " + splits + " belongs to the Helm release other-system/other too",
	} {
		if !slices.ContainsFunc(reported, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("not reported: %s\nbut %q", want, reported)
		}
	}
	definition := get(t, c, splits)
	versions := map[string]string{}
	for _, entry := range field[[]any](t, definition, "spec", "versions") {
		v := entry.(map[string]any)
		word := map[bool]string{true: "served", false: "not served"}[v["served"].(bool)]
		if v["storage"].(bool) {
			word += ", stored"
		}
		versions[v["name"].(string)] = word
	}
	want := map[string]string{"v1alpha4": "served, stored", "v1alpha2": "served", "v1alpha1": "not served"}
	if !maps.Equal(versions, want) {
		t.Errorf("versions are %v, want %v", versions, want)
	}
	// What was stored in the old version is read in the new one.
	object := canary("v1alpha4")
	kubetest.Eventually(t, func(ctx context.Context) error { return c.Get(ctx, client.ObjectKeyFromObject(object), object) })
	if got := field[[]any](t, object, "spec", "backends"); len(got) != 2 {
		t.Errorf("of its backends %v are left", got)
	}
}

// hasStatus writes a status as the controller does, and then the object as a client
// of the old version does, which has never heard of a status.
func hasStatus(t *testing.T, c client.Client) {
	written := canary("v1alpha4")
	conditions := []any{map[string]any{
		"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}
	if err := unstructured.SetNestedSlice(written.Object, conditions, "status", "conditions"); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, func(ctx context.Context) error {
		return c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(written.DeepCopy()), client.FieldOwner("test"))
	})
	old := canary("v1alpha2")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(old), old); err != nil {
		t.Fatal(err)
	}
	old.SetAnnotations(map[string]string{"example.org/edited": "yes"})
	if err := c.Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	now := canary("v1alpha4")
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(now), now); err != nil {
		t.Fatal(err)
	}
	if got := field[[]any](t, now, "status", "conditions"); len(got) != 1 || now.GetAnnotations()["example.org/edited"] != "yes" {
		t.Errorf("it has the conditions %v and the annotations %v", got, now.GetAnnotations())
	}
}

// canary is the split of the tests, empty, in a version.
func canary(version string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("split.smi-spec.io/" + version)
	object.SetKind("TrafficSplit")
	object.SetNamespace("default")
	object.SetName("canary")
	return object
}

func rests(t *testing.T, c client.Client) {
	if got := differs(t, c); got != "" {
		t.Errorf("diff after apply:\n%s", got)
	}
	unchanged := 0
	for _, line := range apply(t, c, crds.Options{}) {
		if strings.HasSuffix(line, ": unchanged") {
			unchanged++
		}
	}
	if unchanged != 6 {
		t.Errorf("%d definitions of 6 are unchanged", unchanged)
	}
}

func repairs(t *testing.T, c client.Client) {
	patch(t, c, `{"spec":{"names":{"shortNames":["mine"]}}}`)
	if got := differs(t, c); !strings.Contains(got, "-    - mine") || !strings.Contains(got, "+    - ts") {
		t.Errorf("diff:\n%s", got)
	}
	if got := apply(t, c, crds.Options{}); !slices.Contains(got, splits+": updated, keeps the versions of others: v1alpha2, v1alpha1") {
		t.Errorf("apply: %q", got)
	}
}

func resets(t *testing.T, c client.Client) {
	patch(t, c, `{"spec":{"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],
		"clientConfig":{"service":{"name":"a","namespace":"b"}}}}}}`)
	var reported []string
	if err := crds.ResetConversion(t.Context(), c, func(line string) { reported = append(reported, line) }); err != nil {
		t.Fatal(err)
	}
	if len(reported) != 1 || reported[0] != splits+": conversion set to None" {
		t.Errorf("reported: %q", reported)
	}
	if got := field[string](t, get(t, c, splits), "spec", "conversion", "strategy"); got != "None" {
		t.Errorf("conversion is %s", got)
	}
}

func deletes(t *testing.T, c client.Client) {
	for _, want := range []string{": deleted, and all its objects", ": was not there"} {
		var reported []string
		if err := crds.Delete(t.Context(), c, func(line string) { reported = append(reported, line) }); err != nil {
			t.Fatal(err)
		}
		if len(reported) != 6 || slices.ContainsFunc(reported, func(line string) bool { return !strings.HasSuffix(line, want) }) {
			t.Errorf("reported: %q", reported)
		}
	}
	if get(t, c, splits) != nil {
		t.Error("a definition is there after it was deleted")
	}
}

func apply(t *testing.T, c client.Client, o crds.Options) (reported []string) {
	t.Helper()
	o.Report = func(line string) { reported = append(reported, line) }
	if err := crds.Apply(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	return reported
}

func differs(t *testing.T, c client.Client) string {
	t.Helper()
	var text strings.Builder
	is, err := crds.Diff(t.Context(), c, &text)
	if err != nil {
		t.Fatal(err)
	}
	if is != (text.Len() > 0) {
		t.Errorf("diff says %v, and prints %d bytes", is, text.Len())
	}
	return text.String()
}

func create(t *testing.T, c client.Client, text string) {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	// The kind of an object is served a moment after its definition was made.
	kubetest.Eventually(t, func(ctx context.Context) error { return c.Create(ctx, object.DeepCopy()) })
}

func patch(t *testing.T, c client.Client, text string) {
	t.Helper()
	if err := c.Patch(t.Context(), get(t, c, splits), client.RawPatch("application/merge-patch+json", []byte(text))); err != nil {
		t.Fatal(err)
	}
}

// get returns the definition of that name, or nil.
func get(t *testing.T, c client.Client, name string) *unstructured.Unstructured {
	t.Helper()
	d := &unstructured.Unstructured{}
	d.SetAPIVersion("apiextensions.k8s.io/v1")
	d.SetKind("CustomResourceDefinition")
	err := c.Get(t.Context(), client.ObjectKey{Name: name}, d)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return d
}

func field[T any](t *testing.T, object *unstructured.Unstructured, path ...string) T {
	t.Helper()
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	typed, ok := value.(T)
	if err != nil || !found || !ok {
		t.Fatalf("%v is %v (%v)", path, value, err)
	}
	return typed
}
