package crds

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ResetConversion sets the conversion of our definitions to None where it is not,
// so that no object's reading depends on a webhook. Definitions that are not there
// are left alone.
func ResetConversion(ctx context.Context, c client.Client, report func(line string)) error {
	all, err := Ours()
	if err != nil {
		return err
	}
	for _, ours := range all {
		live, err := find(ctx, c, ours.GetName())
		if err != nil {
			return fmt.Errorf("read the definition %s: %w", ours.GetName(), err)
		}
		if !live.hasWebhook() {
			continue
		}
		if err := resetConversion(ctx, c, live); err != nil {
			return fmt.Errorf("set the conversion of %s to None: %w", ours.GetName(), err)
		}
		report(ours.GetName() + ": conversion set to None")
	}
	return nil
}

// resetConversion takes the conversion webhook out of live, and brings live up to
// date. It is no part of server-side apply, which cannot take out what somebody
// else put in.
func resetConversion(ctx context.Context, c client.Client, live Definition) error {
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"conversion":{"strategy":"None","webhook":null}}}`))
	return c.Patch(ctx, live.Unstructured, patch, client.FieldOwner(manager))
}
