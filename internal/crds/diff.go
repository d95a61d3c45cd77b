package crds

import (
	"context"
	"fmt"
	"io"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Diff writes what Apply would change, as a unified diff for each definition, and
// tells whether there is anything. The API server works it out and changes nothing.
func Diff(ctx context.Context, c client.Client, out io.Writer) (differs bool, err error) {
	all, err := Ours()
	if err != nil {
		return false, err
	}
	for _, ours := range all {
		text, err := diffOne(ctx, c, ours)
		if err != nil {
			return false, fmt.Errorf("compare the definition %s: %w", ours.GetName(), err)
		}
		differs = differs || len(text) > 0
		if _, err := out.Write(text); err != nil {
			return false, err
		}
	}
	return differs, nil
}

func diffOne(ctx context.Context, c client.Client, ours Definition) ([]byte, error) {
	live, err := find(ctx, c, ours.GetName())
	if err != nil {
		return nil, err
	}
	before, err := text(live)
	if err != nil {
		return nil, err
	}
	merged, err := adopt(ours, live)
	if err != nil {
		return nil, err
	}
	if err := dryApply(ctx, client.NewDryRunClient(c), live, merged); err != nil {
		return nil, err
	}
	after, err := text(merged)
	if err != nil {
		return nil, err
	}
	return diff.Diff("cluster/"+ours.GetName(), before, "smi/"+ours.GetName(), after), nil
}

// dryApply makes merged what the cluster would have after Apply. Where Apply takes
// two steps, of which the second cannot be tried without the first, one that leads
// to the same is tried.
func dryApply(ctx context.Context, dry client.Client, live, merged Definition) error {
	if !live.hasWebhook() {
		return dry.Apply(ctx, client.ApplyConfigurationFromUnstructured(merged.Unstructured), client.FieldOwner(manager), client.ForceOwnership)
	}
	whole := merged.DeepCopy()
	conversion := map[string]any{"strategy": "None", "webhook": nil}
	if err := unstructured.SetNestedMap(whole.Object, conversion, "spec", "conversion"); err != nil {
		return err
	}
	patch, err := whole.MarshalJSON()
	if err != nil {
		return err
	}
	return dry.Patch(ctx, merged.Unstructured, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(manager))
}

// text is a definition as YAML without what the API server keeps for itself; it is
// empty for one that is not there.
func text(d Definition) ([]byte, error) {
	if d.Unstructured == nil {
		return nil, nil
	}
	shown := d.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"} {
		unstructured.RemoveNestedField(shown.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(shown.Object, "status")
	return yaml.Marshal(shown.Object)
}
