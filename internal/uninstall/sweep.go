package uninstall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
)

// patience is how long controllers may take to end.
const patience = 2 * time.Minute

// Sweep is to run when the controller has been removed. It waits until no
// controller runs, as one would make everything again, and removes what they
// made: the certificate authority that the mesh kept, the roots in every
// namespace, the lease, and what replicas told each other.
func (r Remover) Sweep(ctx context.Context) error {
	if err := r.awaitEnd(ctx); err != nil {
		return err
	}
	own := metav1.ObjectMeta{Namespace: r.Namespace}
	secret := &corev1.Secret{ObjectMeta: own}
	secret.Name = config.ManagedSecret
	lease := &coordinationv1.Lease{ObjectMeta: own}
	lease.Name = Controller
	for _, object := range []client.Object{secret, lease} {
		if err := r.remove(ctx, object); err != nil {
			return err
		}
	}
	if err := r.configMaps(ctx, client.InNamespace(r.Namespace)); err != nil {
		return err
	}
	// By name, which is how much of other namespaces may be seen.
	return r.configMaps(ctx, client.MatchingFields{"metadata.name": sidecar.RootsConfigMap})
}

func (r Remover) awaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	left := 0
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := r.Client.List(ctx, &pods, client.InNamespace(r.Namespace), client.MatchingLabels{"app.kubernetes.io/name": Controller})
		left = len(pods.Items)
		return err == nil && left == 0, err
	})
	if err != nil {
		return fmt.Errorf("%d controller(s) still run in the namespace %s after %s; delete the Deployment %s and run this again: %w",
			left, r.Namespace, patience, Controller, err)
	}
	return nil
}

// made tells whether a controller made a ConfigMap: those about certificates and
// those about proxies are labelled differently.
func made(m *corev1.ConfigMap) bool {
	_, part := m.Labels[status.PartLabel]
	return part || m.Labels["app.kubernetes.io/managed-by"] == "smi"
}

// configMaps removes what controllers made among the ConfigMaps that are listed
// with some options.
func (r Remover) configMaps(ctx context.Context, options ...client.ListOption) error {
	var list corev1.ConfigMapList
	for {
		where := append(slices.Clone(options), client.Limit(page), client.Continue(list.Continue))
		if err := r.Client.List(ctx, &list, where...); err != nil {
			return fmt.Errorf("list the ConfigMaps that controllers made: %w", err)
		}
		for i := range list.Items {
			if !made(&list.Items[i]) {
				continue
			}
			if err := r.remove(ctx, &list.Items[i]); err != nil {
				return err
			}
		}
		if list.Continue == "" {
			return nil
		}
	}
}

// remove deletes an object, which need not be there.
func (r Remover) remove(ctx context.Context, object client.Object) error {
	kind, err := r.Client.GroupVersionKindFor(object)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
	switch err := r.Client.Delete(ctx, object); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("delete the %s %s: %w", kind.Kind, name, err)
	}
	r.Report(fmt.Sprintf("deleted the %s %s", kind.Kind, name))
	return nil
}
