package uninstall

import (
	"context"
	"fmt"
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
	if err := r.summaries(ctx); err != nil {
		return err
	}
	return r.roots(ctx)
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

// summaries removes the ConfigMaps that the replicas wrote.
func (r Remover) summaries(ctx context.Context) error {
	var list corev1.ConfigMapList
	if err := r.Client.List(ctx, &list, client.InNamespace(r.Namespace)); err != nil {
		return fmt.Errorf("list ConfigMaps in the namespace %s: %w", r.Namespace, err)
	}
	for i := range list.Items {
		if m := &list.Items[i]; strings.HasPrefix(m.Name, Controller+"-") {
			if err := r.remove(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// roots removes the roots of the mesh from every namespace.
func (r Remover) roots(ctx context.Context) error {
	var list corev1.NamespaceList
	for {
		if err := r.Client.List(ctx, &list, client.Limit(page), client.Continue(list.Continue)); err != nil {
			return fmt.Errorf("list namespaces, to remove the ConfigMap %s from each: %w", sidecar.RootsConfigMap, err)
		}
		for _, namespace := range list.Items {
			m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: sidecar.RootsConfigMap}}
			if err := r.remove(ctx, m); err != nil {
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
