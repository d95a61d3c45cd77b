package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/smi-project/smi/mesh"
)

// maxRequest bounds a certificate signing request before it is parsed, in
// bytes. One with a P-521 key takes less than 700.
const maxRequest = 8 << 10

// ErrRequest is wrapped by errors that are the requester's fault: a certificate
// signing request that is no such thing, or whose key is not acceptable.
var ErrRequest = errors.New("certificate signing request refused")

// Sign issues a certificate for the account, which the caller has verified, to
// the key of a certificate signing request (DER or PEM).
//
// It carries out ID-1: the one URI SAN derives from the account; subject,
// names, extensions and wishes of the request are ignored. The certificate
// serves servers and clients, is valid from a minute ago until the returned
// expiry, and comes as PEM with the intermediates that lead to the root, the
// root left out. An error that is the requester's fault wraps ErrRequest.
//
// It refuses XDSAccount, whose certificate SignXDS alone makes: whoever had one as
// a workload could stand in for the control plane.
func (ca *CA) Sign(request []byte, account mesh.Account) (chainPEM []byte, expiry time.Time, err error) {
	if account == XDSAccount {
		return nil, time.Time{}, fmt.Errorf("%w for %s: that is the identity of the control plane; run the workload as another ServiceAccount", ErrRequest, account)
	}
	return ca.sign(request, account, nil)
}

// SignXDS issues the certificate of the control plane: the identity of
// XDSAccount, and for clients that check names the DNS name XDSServerName and
// those given, such as "smi.smi-system.svc".
func (ca *CA) SignXDS(request []byte, dnsNames ...string) (chainPEM []byte, expiry time.Time, err error) {
	return ca.sign(request, XDSAccount, append([]string{XDSServerName}, dnsNames...))
}

func (ca *CA) sign(request []byte, account mesh.Account, dnsNames []string) ([]byte, time.Time, error) {
	id, err := accountID(ca.domain, account)
	if err != nil {
		return nil, time.Time{}, err
	}
	key, err := requestKey(request)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w for %s: %w", ErrRequest, account, err)
	}
	now, held := ca.clock(), ca.signer.Load()
	expiry, err := ca.expiry(now, held)
	if err != nil {
		return nil, time.Time{}, err
	}
	template := &x509.Certificate{
		// The subject stays empty, which makes the SAN critical: no verifier
		// may overlook the identity.
		URIs:                  []*url.URL{id.URL()},
		DNSNames:              dnsNames,
		NotBefore:             now.Add(-backdate),
		NotAfter:              expiry,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, held.chain[0], key, held.key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("certificate for %s: %w", account, err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})
	return append(chain, EncodeCertificates(held.chain[:len(held.chain)-1])...), expiry, nil
}

// expiry is when a certificate signed now ends: after the TTL, but not after
// any certificate above it, and never so soon that it could not be renewed.
func (ca *CA) expiry(now time.Time, held *signer) (time.Time, error) {
	end := now.Add(ca.ttl)
	for _, c := range held.chain {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	// Certificates count whole seconds; what is announced is what is in them.
	if end = end.Truncate(time.Second); end.Sub(now) < time.Second {
		return time.Time{}, fmt.Errorf("the CA expires at %s; renew it, and keep the old root in the bundle meanwhile", end.UTC().Format(time.RFC3339))
	}
	return end, nil
}

// requestKey returns the public key of a request that is well-formed and signed
// by that key. Only ECDSA is taken: Envoy does not do Ed25519, and RSA keys
// cost every handshake of the mesh.
func requestKey(request []byte) (*ecdsa.PublicKey, error) {
	if len(request) > maxRequest {
		return nil, fmt.Errorf("it is longer than %d bytes", maxRequest)
	}
	der := request
	if block, rest := pem.Decode(request); block != nil {
		if block.Type != pemRequest {
			return nil, fmt.Errorf("a PEM block %q where a %q is expected", block.Type, pemRequest)
		}
		if len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("something follows the PEM block")
		}
		der = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("it is neither DER nor PEM of PKCS #10")
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("its key is %s; use ECDSA on P-256 or better", csr.PublicKeyAlgorithm)
	}
	if err := checkCurve("its key", key); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("its signature does not verify: %w", err)
	}
	return key, nil
}

// CertificateSource turns a certificate signing request (DER) into a chain and
// the roots of the trust domain, both PEM. It knows by other means who asks.
type CertificateSource interface {
	Certificate(ctx context.Context, csrDER []byte) (chainPEM, bundlePEM []byte, err error)
}

// SourceFunc makes a function a CertificateSource.
type SourceFunc func(ctx context.Context, csrDER []byte) (chainPEM, bundlePEM []byte, err error)

// Certificate calls the function.
func (f SourceFunc) Certificate(ctx context.Context, csrDER []byte) (chainPEM, bundlePEM []byte, err error) {
	return f(ctx, csrDER)
}

// Source returns a CertificateSource for the account of a workload that runs
// within the caller's reach, so that nothing need be proved.
func (ca *CA) Source(account mesh.Account) CertificateSource {
	return SourceFunc(func(_ context.Context, csr []byte) ([]byte, []byte, error) {
		chain, _, err := ca.Sign(csr, account)
		return chain, ca.bundle.PEM(), err
	})
}

// XDSSource returns the CertificateSource of the control plane, with further DNS
// names as SignXDS takes them.
func (ca *CA) XDSSource(dnsNames ...string) CertificateSource {
	return SourceFunc(func(_ context.Context, csr []byte) ([]byte, []byte, error) {
		chain, _, err := ca.SignXDS(csr, dnsNames...)
		return chain, ca.bundle.PEM(), err
	})
}
