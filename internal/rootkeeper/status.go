package rootkeeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Status is what the leader says about the certificate authority. It holds no
// secret.
type Status struct {
	Phase Phase `json:"phase"`
	// Epoch counts phases. Since is when this one began.
	Epoch int64     `json:"epoch"`
	Since time.Time `json:"since"`
	// KeptIn names the Secret, in the controller's namespace, where the key lies.
	KeptIn string `json:"keptIn"`
	// Roots are those that are trusted; the first one signs.
	Roots []RootStatus `json:"roots"`
	// Waiting says what the phase waits for, if anything.
	Waiting []string `json:"waiting,omitempty"`
	// Request is the last rotation that was begun by a request.
	Request string `json:"request,omitempty"`
}

// RootStatus describes one root.
type RootStatus struct {
	Subject string `json:"subject"`
	// Fingerprint is the SHA-256 of the certificate, in hexadecimal.
	Fingerprint string    `json:"fingerprint"`
	Expires     time.Time `json:"expires"`
}

const keyStatus = "status.json"

func (k *Keeper) status(r *record, waiting []string) *Status {
	s := &Status{Phase: r.Phase, Epoch: r.Epoch, Since: r.Since, KeptIn: k.options.Secret, Waiting: waiting, Request: r.Request}
	if s.KeptIn == "" {
		s.KeptIn = OwnSecret
	}
	for _, root := range r.roots {
		sum := sha256.Sum256(root.Raw)
		s.Roots = append(s.Roots, RootStatus{Subject: root.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]), Expires: root.NotAfter})
	}
	return s
}

// tell writes the status where it has changed, and leaves the annotations, by
// which a rotation is asked for, as they are.
func (k *Keeper) tell(ctx context.Context, r *record, waiting []string) error {
	text, err := json.Marshal(k.status(r, waiting))
	if err != nil {
		return err
	}
	configMaps := k.options.Client.CoreV1().ConfigMaps(k.options.Namespace)
	held, ok := get[*corev1.ConfigMap](k.watches.own, k.options.Namespace, ConfigMap)
	if !ok {
		made := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.options.Namespace, Name: ConfigMap, Labels: map[string]string{labelPart: partStatus, labelManaged: valueManaged}},
			Data:       map[string]string{keyStatus: string(text)},
		}
		_, err = configMaps.Create(ctx, made, metav1.CreateOptions{FieldManager: fieldManager})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if held.Data[keyStatus] == string(text) {
		return nil
	}
	changed := held.DeepCopy()
	changed.Data = map[string]string{keyStatus: string(text)}
	_, err = configMaps.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	return ignore(err, apierrors.IsConflict)
}

// request returns the rotation that is asked for.
func (w *watches) request() string {
	held, ok := get[*corev1.ConfigMap](w.own, w.namespace, ConfigMap)
	if !ok {
		return ""
	}
	return held.Annotations[AnnotationRotate]
}

// forced returns the epoch whose phase somebody wants to end, 0 where nobody does.
func (w *watches) forced() int64 {
	held, ok := get[*corev1.ConfigMap](w.own, w.namespace, ConfigMap)
	if !ok {
		return 0
	}
	epoch, err := strconv.ParseInt(held.Annotations[AnnotationForce], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}

// Remote is the certificate authority of a mesh, for who looks on from outside. It
// needs no right to read a Secret.
type Remote struct {
	Client kubernetes.Interface
	// Namespace is the controller's.
	Namespace string
}

// Status returns what the leader last said.
func (r *Remote) Status(ctx context.Context) (*Status, error) {
	held, err := r.Client.CoreV1().ConfigMaps(r.Namespace).Get(ctx, ConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, r.explain(err)
	}
	var s Status
	if err := json.Unmarshal([]byte(held.Data[keyStatus]), &s); err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %s: %w", r.Namespace, ConfigMap, keyStatus, err)
	}
	return &s, nil
}

// Rotate asks the leader for another root, by a name that no earlier request had,
// such as the time. It takes effect when the roots are stable.
func (r *Remote) Rotate(ctx context.Context, request string) error {
	return r.annotate(ctx, AnnotationRotate, request)
}

// Force has the leader end the phase of an epoch, whatever it waits for. Whoever was
// not reached is refused by others, and refuses them, until it renews its certificate.
func (r *Remote) Force(ctx context.Context, epoch int64) error {
	return r.annotate(ctx, AnnotationForce, strconv.FormatInt(epoch, 10))
}

func (r *Remote) annotate(ctx context.Context, name, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{name: value}}})
	if err != nil {
		return err
	}
	_, err = r.Client.CoreV1().ConfigMaps(r.Namespace).Patch(ctx, ConfigMap, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "smi"})
	return r.explain(err)
}

func (r *Remote) explain(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("ConfigMap %s/%s does not exist: no controller leads there yet; name another namespace with -n", r.Namespace, ConfigMap)
	}
	return err
}
