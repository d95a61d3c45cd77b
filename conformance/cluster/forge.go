package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/forge"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

var _ conformance.Forger = (*forger)(nil)

// forger is a target that has the key of the mesh's authority.
type forger struct {
	*Target
	authority *forge.Authority
}

// forging reads the mesh's authority.
func (t *Target) forging(ctx context.Context) (*forger, error) {
	p := t.options.Profile
	if p.Authority == nil {
		return nil, fmt.Errorf("the profile of %s does not say where the mesh's authority is (authority), so nothing can be forged", p.Name)
	}
	secret, err := t.core.CoreV1().Secrets(p.Namespace).Get(ctx, p.Authority.Secret, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("the authority of %s: %w", p.Name, err)
	}
	authority, err := forge.Load(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("the authority of %s, Secret %s/%s: %w", p.Name, p.Namespace, p.Authority.Secret, err)
	}
	return &forger{t, authority}, nil
}

// Forge has the mesh's authority sign.
func (f *forger) Forge(_ context.Context, wanted forge.Certificate) (*driver.Credentials, error) {
	credentials, err := f.authority.Sign(wanted)
	if err == nil && f.options.Profile.Authority.SourceNames && len(wanted.IDs) > 0 {
		credentials.ServerName = envoy.SourceName(mesh.Principal(wanted.IDs[0]))
	}
	return credentials, err
}
