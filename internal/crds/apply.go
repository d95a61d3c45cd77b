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

// patience is how long the API server may take to serve a definition.
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
// them. Versions that we do not define stay. Where an object would lose a field,
// nothing is applied.
func Apply(ctx context.Context, c client.Client, o Options) error {
	all, err := Ours()
	if err != nil {
		return err
	}
	if !o.AcceptLoss {
		if err := refuseLosses(ctx, c, all); err != nil {
			return err
		}
	}
	for _, ours := range all {
		// Somebody else may write at the same time; then the merge starts anew.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return applyOne(ctx, c, ours, o.Report) })
		if err != nil {
			return fmt.Errorf("apply the definition %s: %w", ours.GetName(), err)
		}
	}
	return nil
}

func applyOne(ctx context.Context, c client.Client, ours Definition, report func(string)) error {
	live, err := find(ctx, c, ours.GetName())
	if err != nil {
		return err
	}
	if live.hasWebhook() {
		if err := resetConversion(ctx, c, live); err != nil {
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
	report(ours.GetName() + ": " + outcome(ours, live, merged))
	if release := live.helmRelease(); release != "" {
		report(fmt.Sprintf("warning: %s belongs to the Helm release %s too; uninstalling that would delete it with all its objects. "+
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

// helmRelease is the "namespace/name" of the Helm release that d is a part of.
func (d Definition) helmRelease() string {
	if d.Unstructured == nil || d.GetAnnotations()["meta.helm.sh/release-name"] == "" {
		return ""
	}
	return d.GetAnnotations()["meta.helm.sh/release-namespace"] + "/" + d.GetAnnotations()["meta.helm.sh/release-name"]
}
