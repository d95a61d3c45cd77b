package crds

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manager owns the fields of definitions that this package applies.
const manager = "smi-crds"

// patience is how long the API server may take to serve, or to delete, one
// definition.
const patience = time.Minute

// Options say what Apply may do.
type Options struct {
	// AcceptLoss lets objects of other implementations lose fields that our
	// versions do not have.
	AcceptLoss bool
	// Report is told in one line what happened to each definition. Not nil.
	Report func(line string)
}

// Apply brings our definitions into the cluster by server-side apply, and waits
// until they are served. Fields that we define are taken over from whoever had
// them. Versions that we do not define stay.
func Apply(ctx context.Context, c client.Client, o Options) error {
	all, err := Ours()
	if err != nil {
		return err
	}
	for _, ours := range all {
		// Somebody else may write at the same time; then the merge starts anew.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return applyOne(ctx, c, ours, o) })
		if err != nil {
			return fmt.Errorf("apply the definition %s: %w", ours.GetName(), err)
		}
	}
	return nil
}

func applyOne(ctx context.Context, c client.Client, ours Definition, o Options) error {
	live, err := find(ctx, c, ours.GetName())
	if err != nil {
		return err
	}
	isForeign := live.Unstructured != nil && !live.appliedBy(manager)
	if isForeign && !o.AcceptLoss {
		if err := refuseLoss(ctx, c, ours, live); err != nil {
			return err
		}
	}
	if isForeign {
		if live, err = withoutConversion(ctx, c, live); err != nil {
			return err
		}
	}
	merged, err := adopt(ours, live)
	if err != nil {
		return err
	}
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(merged.Unstructured), client.FieldOwner(manager), client.ForceOwnership)
	if err != nil {
		return err
	}
	if err := awaitServed(ctx, c, ours.GetName()); err != nil {
		return err
	}
	o.Report(ours.GetName() + ": " + outcome(ours, live, merged))
	if release := live.helmRelease(); release != "" {
		o.Report(fmt.Sprintf("warning: %s belongs to the Helm release %s too; uninstalling that would delete it with all its objects. "+
			"Let that release keep it (annotation helm.sh/resource-policy: keep in its chart) before you remove it", ours.GetName(), release))
	}
	return nil
}

// outcome says in words what applying merged over live has done.
func outcome(ours, live, merged Definition) string {
	if live.Unstructured == nil {
		return "created"
	}
	done := "adopted"
	switch {
	case live.appliedBy(manager) && merged.GetGeneration() == live.GetGeneration():
		return "unchanged"
	case live.appliedBy(manager):
		done = "updated"
	}
	var names []string
	for _, v := range foreign(ours, live) {
		names = append(names, fmt.Sprint(v["name"]))
	}
	if len(names) > 0 {
		done += ", keeps the versions of others: " + strings.Join(names, ", ")
	}
	return done
}

// find returns the definition of that name, which is nil if there is none.
func find(ctx context.Context, c client.Client, name string) (Definition, error) {
	live := newDefinition()
	err := c.Get(ctx, client.ObjectKey{Name: name}, live.Unstructured)
	if apierrors.IsNotFound(err) {
		return Definition{}, nil
	}
	return live, err
}

// awaitServed waits until the API server serves a definition.
func awaitServed(ctx context.Context, c client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live, err := find(ctx, c, name)
		return err == nil && live.Unstructured != nil && live.established(), err
	})
	if err != nil {
		return fmt.Errorf("the API server does not serve it after %s, its status says why (kubectl describe crd %s): %w", patience, name, err)
	}
	return nil
}

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
		if live.Unstructured == nil || live.conversion() == conversionNone {
			continue
		}
		if _, err := withoutConversion(ctx, c, live); err != nil {
			return fmt.Errorf("set the conversion of %s to None: %w", ours.GetName(), err)
		}
		report(ours.GetName() + ": conversion set to None")
	}
	return nil
}

const conversionNone = "None"

// withoutConversion returns live without a conversion webhook. It is a step of its
// own, since server-side apply cannot remove what belongs to somebody else.
func withoutConversion(ctx context.Context, c client.Client, live Definition) (Definition, error) {
	if live.conversion() == conversionNone {
		return live, nil
	}
	patch := []byte(`{"spec":{"conversion":{"strategy":"None","webhook":null}}}`)
	changed := Definition{live.DeepCopy()}
	err := c.Patch(ctx, changed.Unstructured, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner(manager))
	return changed, err
}

// helmRelease is the "namespace/name" of the Helm release that d is a part of.
func (d Definition) helmRelease() string {
	if d.Unstructured == nil || d.GetAnnotations()["meta.helm.sh/release-name"] == "" {
		return ""
	}
	return d.GetAnnotations()["meta.helm.sh/release-namespace"] + "/" + d.GetAnnotations()["meta.helm.sh/release-name"]
}
