package rootkeeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/store"
)

// writers is how many namespaces are written to at a time.
const writers = 8

// rootsText is the content of the ConfigMap. It changes with the epoch, even
// where the roots do not: agents ask for another certificate when it does.
func rootsText(domain string, r *record) string {
	return fmt.Sprintf("# Roots of the mesh %s, epoch %d. The controller writes this and undoes other changes.\n%s",
		domain, r.Epoch, identity.EncodeCertificates(r.roots))
}

// spread sees that every namespace with meshed pods has the roots, and no other
// has them from us.
func (k *Keeper) spread(ctx context.Context, r *record) error {
	text := rootsText(k.options.TrustDomain, r)
	wanted := meshedNamespaces(k.options.Snapshot())
	var mu sync.Mutex
	var failed []error
	group := new(errgroup.Group)
	group.SetLimit(writers)
	do := func(namespace string, act func() error) {
		group.Go(func() error {
			if err := act(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Errorf("ConfigMap %s/%s: %w", namespace, sidecar.RootsConfigMap, err))
			}
			return nil
		})
	}
	for namespace := range wanted {
		held, _ := get[*corev1.ConfigMap](k.watches.roots, namespace, sidecar.RootsConfigMap)
		if held == nil || !isRoots(held, text) {
			do(namespace, func() error { return k.writeRoots(ctx, namespace, held, text) })
		}
	}
	for _, held := range list[*corev1.ConfigMap](k.watches.roots) {
		if held.Name == sidecar.RootsConfigMap && !wanted[held.Namespace] && held.Labels[labelManaged] == valueManaged {
			do(held.Namespace, func() error { return k.deleteRoots(ctx, held) })
		}
	}
	_ = group.Wait()
	if len(failed) > 1 {
		return fmt.Errorf("%w (and %d more namespaces)", failed[0], len(failed)-1)
	}
	return errors.Join(failed...)
}

// meshedNamespaces are those where injection is enabled, or that have a meshed
// pod; those that are being deleted take nothing any more.
func meshedNamespaces(snapshot *store.Snapshot) map[string]bool {
	wanted := map[string]bool{}
	for _, namespace := range snapshot.Namespaces.All() {
		if namespace.Labels[sidecar.LabelInject] == sidecar.InjectEnabled {
			wanted[namespace.Name] = true
		}
	}
	for _, pod := range snapshot.Pods.All() {
		if !wanted[pod.Namespace] && sidecar.Meshed(pod) {
			wanted[pod.Namespace] = true
		}
	}
	for _, namespace := range snapshot.Namespaces.All() {
		if namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating {
			delete(wanted, namespace.Name)
		}
	}
	return wanted
}

func isRoots(held *corev1.ConfigMap, text string) bool {
	return len(held.Data) == 1 && held.Data[sidecar.RootsKey] == text && len(held.BinaryData) == 0 && held.Labels[labelManaged] == valueManaged
}

func (k *Keeper) writeRoots(ctx context.Context, namespace string, held *corev1.ConfigMap, text string) error {
	configMaps := k.options.Client.CoreV1().ConfigMaps(namespace)
	if held == nil {
		// Applied and not created, since a name can restrict the permission for that.
		made := applycorev1.ConfigMap(sidecar.RootsConfigMap, namespace).
			WithLabels(map[string]string{labelManaged: valueManaged}).WithData(map[string]string{sidecar.RootsKey: text})
		_, err := configMaps.Apply(ctx, made, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		return err
	}
	if held.Immutable != nil && *held.Immutable {
		return k.replaceRoots(ctx, held)
	}
	changed := held.DeepCopy()
	changed.Labels = maps.Clone(changed.Labels)
	if changed.Labels == nil {
		changed.Labels = map[string]string{}
	}
	changed.Labels[labelManaged] = valueManaged
	changed.Data, changed.BinaryData = map[string]string{sidecar.RootsKey: text}, nil
	_, err := configMaps.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	return ignore(err, apierrors.IsNotFound)
}

// replaceRoots deletes what somebody has made immutable, so that it can be made anew.
// Until it is, the namespace does not have the roots: its owner can see to that for
// as long as he likes, and what waits for it has to know.
func (k *Keeper) replaceRoots(ctx context.Context, held *corev1.ConfigMap) error {
	if held.DeletionTimestamp == nil {
		if err := k.deleteRoots(ctx, held); err != nil {
			return err
		}
	}
	if len(held.Finalizers) > 0 {
		return fmt.Errorf("it is immutable, and the finalizers %q keep it from being made anew: take them off", held.Finalizers)
	}
	return errors.New("it is immutable, and is being made anew")
}

func (k *Keeper) deleteRoots(ctx context.Context, held *corev1.ConfigMap) error {
	err := k.options.Client.CoreV1().ConfigMaps(held.Namespace).Delete(ctx, held.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &held.UID},
	})
	return ignore(err, apierrors.IsNotFound)
}

// ignore returns nil for an error of a kind that the next look will settle.
func ignore(err error, kind func(error) bool) error {
	if err != nil && kind(err) {
		return nil
	}
	return err
}
