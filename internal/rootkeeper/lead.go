package rootkeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

// Lead changes what the Secret says, and tells the roots to all namespaces, until
// the context ends; then it returns nil. Only one replica may lead, and Run must
// run beside it. Two that lead for a moment do no harm: whoever writes second
// fails and looks again.
func (k *Keeper) Lead(ctx context.Context) error {
	if err := k.watches.wait(ctx); err != nil {
		return nil
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := ""
	for {
		// The channel is taken first, so that no change is missed in between.
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		err := k.lead(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			k.logger.Warn("the roots of the mesh are not where they should be; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
	}
}

// lead does once what there is to do. Where a Secret cannot be used, everything
// stays as it is, and it is told.
func (k *Keeper) lead(ctx context.Context) error {
	user, err := k.readUser()
	if err != nil {
		k.mu.Lock()
		r := k.record
		k.mu.Unlock()
		if r == nil {
			return err
		}
		return errors.Join(err, k.spread(ctx, r), k.tell(ctx, r, []string{err.Error()}))
	}
	f := &facts{config: k.config, given: user, request: k.watches.request(), now: time.Now().UTC().Truncate(time.Second)}
	secret, exists := k.watches.secret(OwnSecret)
	if !exists {
		return k.create(ctx, f)
	}
	r, err := k.parse(secret)
	if err != nil {
		return err
	}
	spreadErr := k.spread(ctx, r)
	waiting, untold := k.waiting(r), k.options.Untold()
	if spreadErr != nil {
		untold = append(untold, spreadErr.Error())
	}
	// Where roots cannot be told, somebody may be able to see to that for ever. Who
	// renews a certificate is told the roots with it, so nobody depends on a place that
	// could not be written for as long as certificates live.
	f.settled = len(waiting) == 0 && (len(untold) == 0 || k.outlived(r))
	waiting = append(waiting, untold...)
	if forced := k.watches.forced(); !f.settled && r.Phase != Stable && forced == r.Epoch {
		k.logger.Warn("somebody asked not to wait any longer", "phase", string(r.Phase), "epoch", r.Epoch, "waiting", waiting)
		f.settled = true
	}
	next, err := r.advance(f)
	if err != nil {
		return err
	}
	if next != r {
		if err := k.save(ctx, secret, next); err != nil {
			return err
		}
		k.logger.Info("roots of the mesh", "phase", string(next.Phase), "epoch", next.Epoch)
	}
	return errors.Join(spreadErr, k.forget(ctx, r), k.tell(ctx, r, waiting))
}

// forget deletes what dead replicas have told and nobody needs any more.
func (k *Keeper) forget(ctx context.Context, r *record) error {
	for _, object := range list[*corev1.ConfigMap](k.watches.own) {
		told, err := parseReport(object)
		if object.Labels[labelPart] != partProgress || err != nil || k.options.Alive(told.replica) || (told.epoch == r.Epoch && r.Phase != Stable) {
			continue
		}
		err = k.options.Client.CoreV1().ConfigMaps(object.Namespace).Delete(ctx, object.Name, metav1.DeleteOptions{})
		if ignore(err, apierrors.IsNotFound) != nil {
			return err
		}
	}
	return nil
}

// create makes the Secret. One that was deleted under a running mesh is made
// again as it was: other roots would end every connection.
func (k *Keeper) create(ctx context.Context, f *facts) error {
	k.mu.Lock()
	r := k.record
	k.mu.Unlock()
	if r == nil {
		var err error
		if r, err = r.advance(f); err != nil {
			return err
		}
	}
	data, err := r.data()
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.options.Namespace, Name: OwnSecret, Labels: map[string]string{labelManaged: valueManaged}},
		Type:       corev1.SecretTypeOpaque, Data: data,
	}
	_, err = k.options.Client.CoreV1().Secrets(k.options.Namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil // It will be seen in a moment.
	}
	if err == nil {
		k.logger.Info("made the certificate authority of the mesh", "secret", k.options.Namespace+"/"+OwnSecret)
	}
	return err
}

// save writes a record over the one that was read, and fails where that is no
// longer what the Secret says.
func (k *Keeper) save(ctx context.Context, read *corev1.Secret, r *record) error {
	data, err := r.data()
	if err != nil {
		return err
	}
	secret := read.DeepCopy()
	secret.Data = data
	_, err = k.options.Client.CoreV1().Secrets(k.options.Namespace).Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager})
	return err
}

// waiting says what the phase waits for; nothing where it can end.
func (k *Keeper) waiting(r *record) []string {
	var waiting []string
	here := false
	for _, object := range list[*corev1.ConfigMap](k.watches.own) {
		if object.Labels[labelPart] != partProgress {
			continue
		}
		told, err := parseReport(object)
		switch {
		case err != nil:
			waiting = append(waiting, err.Error()+"; delete it")
		case told.epoch == r.Epoch:
			k.progress.merge(told.epoch, told.pods)
			here = here || told.replica == k.options.Replica
		case k.options.Alive(told.replica):
			waiting = append(waiting, fmt.Sprintf("the controller %s has not seen epoch %d", told.replica, r.Epoch))
		}
	}
	if !here {
		waiting = append(waiting, fmt.Sprintf("the controller %s has not told how far it is", k.options.Replica))
	}
	slices.Sort(waiting)
	if r.Phase == Stable {
		return waiting
	}
	return append(waiting, k.stragglers(r)...)
}

// outlived tells whether every certificate that was issued before the phase has ended.
func (k *Keeper) outlived(r *record) bool {
	longest := r.Longest.Duration
	// Clocks differ, and a replica hears of a phase a moment later.
	return time.Since(r.Since) > longest+min(longest/10, time.Minute)
}

// named is how many pods are named of those that are waited for.
const named = 3

// stragglers says which pods have a certificate of an earlier epoch that may
// still be valid.
func (k *Keeper) stragglers(r *record) []string {
	if k.outlived(r) {
		return nil
	}
	var names []string
	count := 0
	k.progress.mu.Lock()
	defer k.progress.mu.Unlock()
	for _, pod := range k.options.Snapshot().Pods.All() {
		// A pod without an address could not ask for a certificate yet.
		if !sidecar.Meshed(pod) || pod.Status.PodIP == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if _, renewed := k.progress.pods[digestOf(pod.UID)]; renewed && k.progress.epoch == r.Epoch {
			continue
		}
		if count++; count <= named {
			names = append(names, pod.Namespace+"/"+pod.Name)
		}
	}
	if count == 0 {
		return nil
	}
	text := fmt.Sprintf("%d pods have not renewed their certificate: %s", count, strings.Join(names, ", "))
	if count > named {
		text += " and others"
	}
	return []string{text}
}
