package crds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// page is how many objects are read at once.
const page = 500

// losses are objects that would lose fields, at most as many as fit a message.
const losses = 5

// refuseLosses returns an error if objects in the cluster have fields that our
// storage version does not know: the API server would drop these the next time
// that the object is written. Only definitions of others can have such objects.
func refuseLosses(ctx context.Context, c client.Client, all []Definition) error {
	for _, ours := range all {
		live, err := find(ctx, c, ours.GetName())
		if err != nil {
			return fmt.Errorf("read the definition %s: %w", ours.GetName(), err)
		}
		if live.Unstructured == nil || live.appliedBy(manager) {
			continue
		}
		if err := refuseLoss(ctx, c, ours, live); err != nil {
			return err
		}
	}
	return nil
}

func refuseLoss(ctx context.Context, c client.Client, ours, live Definition) error {
	known := schemaOf(ours.storage())
	for _, name := range live.storedVersions() {
		version := live.version(name)
		if version == nil || version["served"] != true {
			return fmt.Errorf("%s: objects may be stored as %s, which is not served, so they cannot be checked; "+
				"let status.storedVersions name served versions only", live.GetName(), name)
		}
		found, err := losers(ctx, c, live, name, known)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("the definition %s is not adopted: %s would lose fields that %s does not have: %s. "+
				"Remove those fields or delete the objects, or accept the loss with --accept-loss (in the chart crds.acceptLoss)",
				live.GetName(), counted(found), ours.storage()["name"], strings.Join(found, "; "))
		}
	}
	return nil
}

func counted(found []string) string {
	if len(found) == losses {
		return fmt.Sprintf("at least %d objects", losses)
	}
	return fmt.Sprintf("%d object(s)", len(found))
}

// losers names objects of one version, and what they would lose.
func losers(ctx context.Context, c client.Client, live Definition, version string, known map[string]any) ([]string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(live.objects(version))
	var found []string
	for {
		err := c.List(ctx, list, client.Limit(page), client.Continue(list.GetContinue()))
		if err != nil {
			return nil, fmt.Errorf("%s: its objects cannot be read as %s, to see that none loses a field: %w", live.GetName(), version, err)
		}
		for _, object := range list.Items {
			if lost := unknown(known, object.Object, ""); len(lost) > 0 {
				found = append(found, fmt.Sprintf("%s/%s (%s)", object.GetNamespace(), object.GetName(), strings.Join(lost, ", ")))
			}
			if len(found) == losses {
				return found, nil
			}
		}
		if list.GetContinue() == "" {
			return found, nil
		}
	}
}

// unknown returns the paths of the fields of a value that a structural schema
// does not have, sorted. What the API server itself knows is no field of the schema.
func unknown(known map[string]any, value any, path string) []string {
	if known["x-kubernetes-preserve-unknown-fields"] == true {
		return nil
	}
	var lost []string
	switch value := value.(type) {
	case []any:
		items, _ := known["items"].(map[string]any)
		for _, element := range value {
			lost = append(lost, unknown(items, element, path+"[]")...)
		}
	case map[string]any:
		properties, _ := known["properties"].(map[string]any)
		rest, anyName := known["additionalProperties"].(map[string]any)
		for name, field := range value {
			if path == "" && slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, name) {
				continue
			}
			at := strings.TrimPrefix(path+"."+name, ".")
			property, has := properties[name].(map[string]any)
			switch {
			case has:
				lost = append(lost, unknown(property, field, at)...)
			case anyName:
				lost = append(lost, unknown(rest, field, at)...)
			default:
				lost = append(lost, at)
			}
		}
	}
	slices.Sort(lost)
	return slices.Compact(lost)
}
