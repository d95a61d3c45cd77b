package crds

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deletePatience is how long deletion may take, with all objects.
const deletePatience = 3 * time.Minute

// Delete removes our definitions and with them every object of their kinds, and
// waits until they are gone. Those that another implementation brought go too.
func Delete(ctx context.Context, c client.Client, report func(line string)) error {
	all, err := Ours()
	if err != nil {
		return err
	}
	var deleted []string
	for _, ours := range all {
		d, err := find(ctx, c, ours.GetName())
		if err != nil {
			return fmt.Errorf("read the definition %s: %w", ours.GetName(), err)
		}
		if d.Unstructured == nil {
			report(ours.GetName() + ": was not there")
			continue
		}
		if err := awaitReadable(ctx, c, d); err != nil {
			return err
		}
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

// awaitReadable waits until the API server has the objects of a definition at hand.
// It deletes them before the definition; where it fails to read them, as it does
// just after a definition has changed, it tries again only after minutes.
func awaitReadable(ctx context.Context, c client.Client, d Definition) error {
	name, _ := d.storage()["name"].(string)
	if !d.established() || d.storage()["served"] != true {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(d.objects(name))
		last = c.List(ctx, list, client.Limit(1))
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("read the objects of %s before deleting them: %w", d.GetName(), last)
	}
	return nil
}

func awaitGone(ctx context.Context, c client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, deletePatience)
	defer cancel()
	why := "it does not say why"
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live, err := find(ctx, c, name)
		if err != nil || live.Unstructured == nil {
			return err == nil, err
		}
		if said := live.condition("Terminating"); said != nil {
			why = fmt.Sprint(said["message"])
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("the definition %s is not gone after %s: %s. An object with a finalizer may hold it back: %w", name, deletePatience, why, err)
	}
	return nil
}
