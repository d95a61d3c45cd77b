package controller

import (
	"context"

	"github.com/smi-project/smi/internal/identity"
)

// authority returns the certificate authority of the mesh.
func (c *Controller) authority(context.Context) (*identity.CA, error) {
	return identity.NewCA(identity.Config{TrustDomain: c.options.Config.TrustDomain, TTL: c.options.Config.CertificateTTL.Duration})
}
