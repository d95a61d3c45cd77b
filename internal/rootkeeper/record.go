package rootkeeper

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/identity"
)

// Phase is how far a change of roots is.
type Phase string

// The phases in their order.
const (
	Stable   Phase = "stable"
	Trusting Phase = "trusting"
	Signing  Phase = "signing"
	Removing Phase = "removing"
)

// Further keys of the Secret that the mesh keeps.
const (
	keyState           = "state.json"
	keyNextCertificate = "next.crt"
	keyNextPrivate     = "next.key"
)

// state is what is not a certificate of a record.
type state struct {
	Phase Phase `json:"phase"`
	// Epoch counts phases. Since is when this one began.
	Epoch int64     `json:"epoch"`
	Since time.Time `json:"since"`
	// Request is the last rotation that somebody asked for and that was begun.
	Request string `json:"request,omitempty"`
	// Given tells that it is the user's CA that signs in the end.
	Given bool `json:"given,omitempty"`
	// Longest is the longest life of any certificate that may be held.
	Longest metav1.Duration `json:"longest"`
}

// record is what the Secret of the mesh says. It never changes; another one is
// made from it.
type record struct {
	state
	// roots are those that are trusted, that of the signer first.
	roots []*x509.Certificate
	// own signs, where the mesh keeps its own CA; next will, while phase is
	// Trusting.
	own, next *pair
}

// parseRecord reads the Secret of the mesh.
func parseRecord(config identity.Config, secret *corev1.Secret) (*record, error) {
	fail := func(err error) (*record, error) {
		return nil, fmt.Errorf("Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	var r record
	if err := json.Unmarshal(secret.Data[keyState], &r.state); err != nil {
		return fail(fmt.Errorf("%s: %w; the Secret is the mesh's own, restore it or, to begin anew, delete it", keyState, err))
	}
	switch r.Phase {
	case Stable, Trusting, Signing, Removing:
	default:
		return fail(fmt.Errorf("%s: phase %q is none that this release knows", keyState, r.Phase))
	}
	var err error
	if r.roots, err = identity.ParseCertificates(keyRoots, secret.Data[keyRoots]); err != nil {
		return fail(err)
	}
	if r.own, err = optionalPair(config, secret, keyCertificate, keyPrivate); err != nil {
		return fail(err)
	}
	if r.next, err = optionalPair(config, secret, keyNextCertificate, keyNextPrivate); err != nil {
		return fail(err)
	}
	return &r, nil
}

func optionalPair(config identity.Config, secret *corev1.Secret, certificate, key string) (*pair, error) {
	if len(secret.Data[certificate]) == 0 && len(secret.Data[key]) == 0 {
		return nil, nil
	}
	p, err := loadPair(config, secret.Data[certificate], secret.Data[key])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certificate, err)
	}
	return p, nil
}

// data is what parseRecord reads.
func (r *record) data() (map[string][]byte, error) {
	written, err := json.Marshal(&r.state)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{keyState: written, keyRoots: identity.EncodeCertificates(r.roots)}
	if r.own != nil {
		data[keyCertificate], data[keyPrivate] = r.own.chain, r.own.key
	}
	if r.next != nil {
		data[keyNextCertificate], data[keyNextPrivate] = r.next.chain, r.next.key
	}
	return data, nil
}
