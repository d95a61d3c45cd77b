package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/smi-project/smi/mesh"
)

// SVID is an identity and its proof: a certificate chain with its private key,
// and the roots that were current when it was issued. It never changes.
type SVID struct {
	// Principal is the one URI SAN of the certificate.
	Principal mesh.Principal
	// ChainPEM is the certificate and its intermediates.
	ChainPEM []byte
	// BundlePEM are the roots of the trust domain.
	BundlePEM []byte
	// IssuedAt is when the certificate was received, which is a minute after
	// its validity began; ExpiresAt is when it ends.
	IssuedAt, ExpiresAt time.Time

	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
	tls  *tls.Certificate
}

// newRequest makes a private key and a request that asks for nothing but a
// certificate of it.
func newRequest() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("private key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate signing request: %w", err)
	}
	return key, csr, nil
}

// newSVID puts together what a source answered, and refuses what a peer would
// refuse later: a certificate of another key, of no identity, or without a
// chain to the roots that came with it.
func newSVID(key *ecdsa.PrivateKey, chainPEM, bundlePEM []byte, now time.Time) (*SVID, error) {
	chain, err := ParseCertificates("certificate chain", chainPEM)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("certificate chain: it begins with the certificate of another key")
	}
	if len(leaf.URIs) != 1 {
		return nil, fmt.Errorf("certificate chain: %d URI names in the certificate; an identity has exactly one", len(leaf.URIs))
	}
	id, err := spiffeid.FromURI(leaf.URIs[0])
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	bundle, err := ParseBundle(id.TrustDomain().Name(), bundlePEM)
	if err != nil {
		return nil, err
	}
	principal, err := bundle.verify(chain, now)
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	pair := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return &SVID{
		Principal: principal, ChainPEM: chainPEM, BundlePEM: bundlePEM,
		IssuedAt: now, ExpiresAt: leaf.NotAfter, leaf: leaf, key: key, tls: pair,
	}, nil
}

// KeyPEM returns the private key as PKCS #8, for the proxy of this workload
// and nobody else.
func (s *SVID) KeyPEM() ([]byte, error) { return encodeKey(s.key) }

// Serial is the certificate's serial number in hexadecimal.
func (s *SVID) Serial() string { return s.leaf.SerialNumber.Text(16) }

// TLSCertificate returns the pair for crypto/tls.
func (s *SVID) TLSCertificate() *tls.Certificate { return s.tls }

// String names the certificate; the key is never part of it.
func (s *SVID) String() string {
	return fmt.Sprintf("%s (serial %s, until %s)", s.Principal, s.Serial(), s.ExpiresAt.UTC().Format(time.RFC3339))
}

// GoString is String, lest %#v print the key.
func (s *SVID) GoString() string { return s.String() }

// LogValue is String as a group of attributes.
func (s *SVID) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("principal", string(s.Principal)),
		slog.String("serial", s.Serial()),
		slog.Time("expires", s.ExpiresAt),
	)
}
