package rootkeeper

import (
	"crypto/x509"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/identity"
)

// Keys of Secrets, as cert-manager and kubectl write them.
const (
	keyCertificate = corev1.TLSCertKey
	keyPrivate     = corev1.TLSPrivateKeyKey
	keyRoots       = "ca.crt"
)

// pair is a certificate that signs others, with its chain up to the root and its
// key; PEM. It is not to be printed.
type pair struct {
	chain, key []byte
	ca         *identity.CA
}

func newPair(config identity.Config) (*pair, error) {
	ca, err := identity.NewCA(config)
	if err != nil {
		return nil, err
	}
	chain, key, err := ca.MarshalPEM()
	return &pair{chain: chain, key: key, ca: ca}, err
}

func loadPair(config identity.Config, chain, key []byte) (*pair, error) {
	ca, err := identity.LoadCA(config, chain, key)
	if err != nil {
		return nil, err
	}
	return &pair{chain: chain, key: key, ca: ca}, nil
}

func (p *pair) root() *x509.Certificate { return p.ca.Root() }

// String names the certificate; the key is never part of it.
func (p *pair) String() string { return p.root().Subject.String() }

// GoString is String, lest %#v print the key.
func (p *pair) GoString() string { return p.String() }

// given is a certificate authority that the user gives.
type given struct {
	*pair
	// roots are what the user wants trusted, that of the pair first.
	roots []*x509.Certificate
}

// readGiven reads a Secret with tls.crt, tls.key and ca.crt. The first may end
// with the root or, as cert-manager writes it, before; ca.crt then holds the root.
// Further roots in ca.crt are trusted too.
func readGiven(config identity.Config, secret *corev1.Secret) (*given, error) {
	name := fmt.Sprintf("Secret %s/%s", secret.Namespace, secret.Name)
	for _, key := range []string{keyCertificate, keyPrivate} {
		if len(secret.Data[key]) == 0 {
			return nil, fmt.Errorf("%s: %s is missing; a CA needs tls.crt, tls.key and, where tls.crt does not end with the root, ca.crt", name, key)
		}
	}
	chain, err := identity.ParseCertificates(keyCertificate, secret.Data[keyCertificate])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var roots []*x509.Certificate
	if text := secret.Data[keyRoots]; len(text) > 0 {
		if roots, err = identity.ParseCertificates(keyRoots, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if chain, err = complete(chain, roots); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	made, err := loadPair(config, identity.EncodeCertificates(chain), secret.Data[keyPrivate])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	all := []*x509.Certificate{made.root()}
	for _, root := range roots {
		if selfSigned(root) && !contains(all, root) {
			all = append(all, root)
		}
	}
	return &given{pair: made, roots: all}, nil
}

// complete adds to a chain what it lacks up to a self-signed root.
func complete(chain, from []*x509.Certificate) ([]*x509.Certificate, error) {
	for range len(from) + 1 {
		last := chain[len(chain)-1]
		if selfSigned(last) {
			return chain, nil
		}
		i := slices.IndexFunc(from, func(c *x509.Certificate) bool { return last.CheckSignatureFrom(c) == nil })
		if i < 0 {
			return nil, fmt.Errorf("the certificate that signed %q is in neither tls.crt nor ca.crt; add it, up to the root", last.Subject)
		}
		chain = append(slices.Clone(chain), from[i])
	}
	return nil, fmt.Errorf("the certificates in ca.crt sign each other in a circle")
}

func selfSigned(c *x509.Certificate) bool { return c.CheckSignatureFrom(c) == nil }

func contains(roots []*x509.Certificate, root *x509.Certificate) bool {
	return slices.ContainsFunc(roots, root.Equal)
}

// within tells whether all of the roots are among others.
func within(roots, among []*x509.Certificate) bool {
	return !slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return !contains(among, c) })
}

// union returns the roots, and after them those of more that are not among them.
func union(roots []*x509.Certificate, more ...*x509.Certificate) []*x509.Certificate {
	all := slices.Clone(roots)
	for _, root := range more {
		if !contains(all, root) {
			all = append(all, root)
		}
	}
	return all
}
