package kube

import (
	"context"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/store"
)

// pageSize is how many objects one answer of the API server may hold.
const pageSize = 500

// Load reads a cluster once, for a command that answers a question and ends. With
// namespaces, only objects of these are read, and all Namespaces. A kind of SMI
// that the cluster does not serve has no objects.
func Load(ctx context.Context, config *rest.Config, namespaces ...string) ([]store.Object, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := AddToScheme(scheme); err != nil {
		return nil, err
	}
	reader, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster at %s: %w", config.Host, err)
	}
	var objects []store.Object
	for _, k := range kinds() {
		if k.aside {
			continue
		}
		in := namespaces
		if namespaced, err := reader.IsObjectNamespaced(k.object); apimeta.IsNoMatchError(err) && k.smi {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("ask what the cluster knows of kind %s: %w", k.name, err)
		} else if !namespaced || len(in) == 0 {
			in = []string{""}
		}
		for _, namespace := range in {
			found, err := k.loadFrom(ctx, reader, namespace)
			if err != nil {
				return nil, fmt.Errorf("list objects of kind %s: %w", k.name, err)
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}

// loadFrom lists the objects of one namespace, or of all where it is empty.
func (k kind) loadFrom(ctx context.Context, reader client.Reader, namespace string) ([]store.Object, error) {
	var objects []store.Object
	options := &client.ListOptions{Namespace: namespace, LabelSelector: k.label, FieldSelector: k.field, Limit: pageSize}
	for {
		list := k.list.DeepCopyObject().(client.ObjectList)
		if err := reader.List(ctx, list, options); err != nil {
			return nil, err
		}
		items, err := apimeta.ExtractList(list)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			objects = append(objects, k.trim(item.(client.Object)))
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return objects, nil
		}
	}
}
