package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/store"
)

// pageSize is how many objects one answer of the API server may hold.
const pageSize = 500

// Loaded is what a cluster holds.
type Loaded struct {
	Objects []store.Object
	// Ranges are those of addresses; none where what says them may not be read.
	Ranges Ranges
	// Missing are the kinds of SMI that the cluster does not serve.
	Missing []string
}

// Load reads a cluster once, for a command that answers a question and ends. Said,
// unless nil, is told after every page how many objects of a kind there are so far.
func Load(ctx context.Context, config *rest.Config, said func(kind string, n int)) (*Loaded, error) {
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
	if said == nil {
		said = func(string, int) {}
	}
	loaded, written := &Loaded{}, writtenRanges{}
	for _, k := range kinds() {
		if _, err := reader.IsObjectNamespaced(k.object); apimeta.IsNoMatchError(err) && !k.optional.Empty() {
			if k.smi {
				loaded.Missing = append(loaded.Missing, k.name)
			}
			continue
		} else if err != nil {
			return nil, fmt.Errorf("ask what the cluster knows of kind %s: %w", k.name, err)
		}
		found, err := k.load(ctx, reader, said)
		switch {
		case k.ranges != nil && apierrors.IsForbidden(err):
		case err != nil:
			return nil, fmt.Errorf("list objects of kind %s: %w", k.name, err)
		case k.ranges != nil:
			for _, o := range found {
				written.put(k, o.GetName(), k.ranges(o))
			}
		default:
			loaded.Objects = append(loaded.Objects, found...)
		}
	}
	loaded.Ranges = written.read()
	return loaded, nil
}

// load lists the objects of a kind.
func (k kind) load(ctx context.Context, reader client.Reader, said func(kind string, n int)) ([]store.Object, error) {
	var objects []store.Object
	options := &client.ListOptions{LabelSelector: k.label, FieldSelector: k.field, Limit: pageSize}
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
		said(k.name, len(objects))
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return objects, nil
		}
	}
}
