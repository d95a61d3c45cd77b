package kube

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
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
	// PodCIDRs are the ranges of the nodes' pods, sorted; none where nodes may not be
	// read.
	PodCIDRs []netip.Prefix
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
	loaded := &Loaded{}
	for _, k := range kinds() {
		if _, err := reader.IsObjectNamespaced(k.object); apimeta.IsNoMatchError(err) && k.smi {
			loaded.Missing = append(loaded.Missing, k.name)
			continue
		} else if err != nil {
			return nil, fmt.Errorf("ask what the cluster knows of kind %s: %w", k.name, err)
		}
		found, err := k.load(ctx, reader, said)
		switch {
		case k.aside && apierrors.IsForbidden(err):
		case err != nil:
			return nil, fmt.Errorf("list objects of kind %s: %w", k.name, err)
		case k.aside:
			loaded.PodCIDRs = rangesOf(found)
		default:
			loaded.Objects = append(loaded.Objects, found...)
		}
	}
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

// rangesOf are the ranges of nodes.
func rangesOf(nodes []store.Object) []netip.Prefix {
	written := map[string][]string{}
	for _, node := range nodes {
		written[node.GetName()] = node.(*corev1.Node).Spec.PodCIDRs
	}
	return ranges(written)
}
