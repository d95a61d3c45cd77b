package controller

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/rootkeeper"
)

// newRoots makes what keeps the certificate authority of the mesh.
func (c *Controller) newRoots() (*rootkeeper.Keeper, error) {
	secret := ""
	if c.options.Config.CA.Source == config.SecretCA {
		secret = c.options.Config.CA.Secret
	}
	return rootkeeper.New(rootkeeper.Options{
		Client: c.clientset, Namespace: c.options.Namespace, Secret: secret,
		TrustDomain: c.options.Config.TrustDomain, TTL: c.options.Config.CertificateTTL.Duration,
		Replica: c.options.Replica, Alive: c.isAlive, Untold: c.untold, Snapshot: c.store.Snapshot, Logger: c.log,
	})
}

// isAlive tells whether a replica still runs: whether its pod is there.
func (c *Controller) isAlive(replica string) bool {
	if replica == c.options.Replica {
		return true
	}
	_, found := c.store.Snapshot().Pods.Get(c.options.Namespace, replica)
	return found
}

// keepRoots follows the certificate authority until the context ends.
func (c *Controller) keepRoots(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.roots.Run(ctx) })
	group.Go(func() error {
		ca, err := c.roots.CA(ctx)
		if err != nil {
			return nil //nolint:nilerr // the context has ended
		}
		c.ca = ca
		close(c.certified)
		for {
			changed := ca.Bundle().Changed()
			c.metrics.caExpiry.Set(float64(ca.Ends().Unix()))
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
		}
	})
	return group.Wait()
}

// leadRoots makes the certificate authority, changes its roots and tells them to
// all namespaces. What namespaces and pods there are has to be known for it.
func (c *Controller) leadRoots(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.source.Synced():
	}
	return c.roots.Lead(ctx)
}
