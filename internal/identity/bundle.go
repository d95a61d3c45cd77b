package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Bundle is the set of root certificates that vouch for a trust domain.
//
// Roots rotate with overlap: Add the new root, wait until every proxy has the
// larger bundle, sign with the new key, wait until the last certificate of the
// old root has expired, Remove the old root. TLS configurations of this package
// read the bundle at every handshake, so they follow at once.
//
// A Bundle may be used by several goroutines.
type Bundle struct {
	domain spiffeid.TrustDomain

	mu      sync.RWMutex
	roots   []*x509.Certificate
	pool    *x509.CertPool
	changed chan struct{}
}

// NewBundle makes the bundle of a trust domain from its roots, at least one.
func NewBundle(trustDomain string, roots ...*x509.Certificate) (*Bundle, error) {
	td, err := parseTrustDomain(trustDomain)
	if err != nil {
		return nil, err
	}
	if len(roots) == 0 {
		return nil, errors.New("trust bundle: no root certificate; a bundle needs at least one")
	}
	b := &Bundle{domain: td, changed: make(chan struct{})}
	for _, root := range roots {
		if err := b.Add(root); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ParseBundle reads a bundle from the PEM of its roots, as PEM writes it.
func ParseBundle(trustDomain string, roots []byte) (*Bundle, error) {
	certs, err := ParseCertificates("trust bundle", roots)
	if err != nil {
		return nil, err
	}
	return NewBundle(trustDomain, certs...)
}

// TrustDomain is the name of the trust domain, such as "cluster.local".
func (b *Bundle) TrustDomain() string { return b.domain.Name() }

// Add trusts one more root. Adding a root again changes nothing.
func (b *Bundle) Add(root *x509.Certificate) error {
	if err := checkRoot(root); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.roots, root.Equal) {
		return nil
	}
	b.replace(append(slices.Clone(b.roots), root))
	return nil
}

// Remove stops trusting a root. The last one stays: a bundle without roots
// would cut every connection of the mesh.
func (b *Bundle) Remove(root *x509.Certificate) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(b.roots), root.Equal)
	switch {
	case len(rest) == len(b.roots):
		return fmt.Errorf("trust bundle: root %q is not in it", root.Subject)
	case len(rest) == 0:
		return fmt.Errorf("trust bundle: root %q is the last one; add its successor first", root.Subject)
	}
	b.replace(rest)
	return nil
}

// Set makes the roots, at least one, the whole bundle, in that order. The same
// roots in another order count as a change: whoever follows the bundle asks for
// a new certificate then, which is how a new signing key takes over.
func (b *Bundle) Set(roots []*x509.Certificate) error {
	if len(roots) == 0 {
		return errors.New("trust bundle: no root certificate; a bundle needs at least one")
	}
	for _, root := range roots {
		if err := checkRoot(root); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.EqualFunc(b.roots, roots, (*x509.Certificate).Equal) {
		b.replace(slices.Clone(roots))
	}
	return nil
}

func checkRoot(root *x509.Certificate) error {
	if !root.BasicConstraintsValid || !root.IsCA {
		return fmt.Errorf("trust bundle: certificate %q is not one of a certificate authority", root.Subject)
	}
	return nil
}

func (b *Bundle) replace(roots []*x509.Certificate) {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	b.roots, b.pool = roots, pool
	close(b.changed)
	b.changed = make(chan struct{})
}

// Roots returns the roots in the order in which they were added.
func (b *Bundle) Roots() []*x509.Certificate {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.roots)
}

// Pool returns the roots as crypto/x509 takes them. It does not follow later
// changes.
func (b *Bundle) Pool() *x509.CertPool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.pool
}

// PEM returns the roots as concatenated PEM blocks.
func (b *Bundle) PEM() []byte { return EncodeCertificates(b.Roots()) }

// Changed returns a channel that is closed at the next change of the bundle.
// Take it before reading the roots, so that no change is missed.
func (b *Bundle) Changed() <-chan struct{} {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.changed
}
