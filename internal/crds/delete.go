package crds

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Delete removes our definitions and with them every object of their kinds, and
// waits until they are gone. Those that another implementation brought go too.
func Delete(ctx context.Context, c client.Client, report func(line string)) error {
	all, err := Ours()
	if err != nil {
		return err
	}
	var deleted []string
	for _, ours := range all {
		d := newDefinition()
		d.SetName(ours.GetName())
		switch err := c.Delete(ctx, d.Unstructured); {
		case apierrors.IsNotFound(err):
			report(ours.GetName() + ": was not there")
		case err != nil:
			return fmt.Errorf("delete the definition %s: %w", ours.GetName(), err)
		default:
			deleted = append(deleted, ours.GetName())
		}
	}
	for _, name := range deleted {
		if err := awaitGone(ctx, c, name); err != nil {
			return err
		}
		report(name + ": deleted, and all its objects")
	}
	return nil
}

func awaitGone(ctx context.Context, c client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live, err := find(ctx, c, name)
		return err == nil && live.Unstructured == nil, err
	})
	if err != nil {
		return fmt.Errorf("the definition %s is not gone after %s; an object with a finalizer may hold it back (kubectl describe crd %s): %w",
			name, patience, name, err)
	}
	return nil
}
