package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// DefaultTTL is the life of a workload's certificate.
	DefaultTTL = 24 * time.Hour
	// minTTL is the shortest life that leaves room to renew, given that
	// certificates count whole seconds.
	minTTL = 2 * time.Second
	// rootTTL is the life of a root that NewCA makes.
	rootTTL = 10 * 365 * 24 * time.Hour
	// backdate covers clocks that are a little behind.
	backdate = time.Minute
)

// Config configures a certificate authority.
type Config struct {
	// TrustDomain is the SPIFFE trust domain, such as "cluster.local".
	TrustDomain string
	// TTL is the life of the certificates it signs, at least two seconds; 0 means
	// DefaultTTL.
	TTL time.Duration
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
}

// CA signs the certificates of a trust domain. It may be used by several
// goroutines.
type CA struct {
	domain spiffeid.TrustDomain
	ttl    time.Duration
	clock  func() time.Time
	signer atomic.Pointer[signer]
	bundle *Bundle
}

// signer is what certificates are signed with. It never changes; a CA that
// rotates gets another one.
type signer struct {
	key crypto.Signer
	// chain is the signing certificate, then what signed it, up to the root.
	chain []*x509.Certificate
}

func (s *signer) root() *x509.Certificate { return s.chain[len(s.chain)-1] }

func newCA(cfg Config) (*CA, error) {
	td, err := parseTrustDomain(cfg.TrustDomain)
	if err != nil {
		return nil, err
	}
	ca := &CA{domain: td, ttl: cfg.TTL, clock: cfg.Clock}
	if ca.ttl == 0 {
		ca.ttl = DefaultTTL
	}
	if ca.ttl < minTTL {
		return nil, fmt.Errorf("certificate TTL %s: at least %s is needed", ca.ttl, minTTL)
	}
	if ca.clock == nil {
		ca.clock = time.Now
	}
	return ca, nil
}

// NewCA makes a certificate authority with a new key (ECDSA P-256) and a new
// self-signed root.
func NewCA(cfg Config) (*CA, error) {
	ca, err := newCA(cfg)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	root, err := selfSign(ca.domain, key, ca.clock())
	if err != nil {
		return nil, err
	}
	ca.signer.Store(&signer{key: key, chain: []*x509.Certificate{root}})
	ca.bundle, err = NewBundle(ca.domain.Name(), root)
	return ca, err
}

// LoadCA makes a certificate authority from PEM: the signing certificate first,
// then what signed it up to a self-signed root (one certificate where the root
// itself signs), and the private key of the first.
func LoadCA(cfg Config, certPEM, keyPEM []byte) (*CA, error) {
	ca, err := newCA(cfg)
	if err != nil {
		return nil, err
	}
	var loaded signer
	if loaded.chain, err = ParseCertificates("CA certificate", certPEM); err != nil {
		return nil, err
	}
	if loaded.key, err = parseKey(keyPEM); err != nil {
		return nil, err
	}
	if err := ca.check(&loaded); err != nil {
		return nil, err
	}
	ca.signer.Store(&loaded)
	ca.bundle, err = NewBundle(ca.domain.Name(), loaded.root())
	return ca, err
}

// Replace makes the CA sign with what another one of the same trust domain signs
// with, and its bundle the given roots, among which the other's root must be.
// What follows the bundle and asks for a certificate then gets one of the new key.
func (ca *CA) Replace(by *CA, roots []*x509.Certificate) error {
	if by.domain != ca.domain {
		return fmt.Errorf("CA of the trust domain %s: it cannot be replaced by one of %s", ca.domain, by.domain)
	}
	next := by.signer.Load()
	if !slices.ContainsFunc(roots, next.root().Equal) {
		return fmt.Errorf("CA: nobody would trust what it signs, for its root %q is not among the roots", next.root().Subject)
	}
	ca.signer.Store(next)
	return ca.bundle.Set(roots)
}

// Root returns the root under which the CA signs.
func (ca *CA) Root() *x509.Certificate { return ca.signer.Load().root() }

// Ends returns when the first of the certificates ends that the CA signs by.
func (ca *CA) Ends() time.Time {
	chain := ca.signer.Load().chain
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// MarshalPEM returns what LoadCA reads. The second part is the private key:
// keep it where only the control plane can read it.
func (ca *CA) MarshalPEM() (certPEM, keyPEM []byte, err error) {
	held := ca.signer.Load()
	keyPEM, err = encodeKey(held.key)
	return EncodeCertificates(held.chain), keyPEM, err
}

// Bundle returns the roots that vouch for what the CA signs. It starts with the
// CA's own root; others are added to it while roots rotate.
func (ca *CA) Bundle() *Bundle { return ca.bundle }

// TrustDomain is the name of the trust domain, such as "cluster.local".
func (ca *CA) TrustDomain() string { return ca.domain.Name() }

func selfSign(td spiffeid.TrustDomain, key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	// Two roots of one trust domain must not share a name, or a verifier may try
	// the wrong one while they rotate.
	var unique [4]byte
	if _, err := rand.Read(unique[:]); err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "SMI root " + hex.EncodeToString(unique[:]) + " of " + td.Name()},
		URIs:                  []*url.URL{td.ID().URL()},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(rootTTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// check refuses a loaded certificate or key that could not serve, before
// anything was signed with it.
func (ca *CA) check(loaded *signer) error {
	signer, root := loaded.chain[0], loaded.root()
	public, ok := signer.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(loaded.key.Public()) {
		return errors.New("CA key: it does not belong to the first certificate of the CA")
	}
	if !signer.BasicConstraintsValid || !signer.IsCA || signer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("CA certificate %q: it may not sign certificates (basicConstraints CA and keyUsage keyCertSign are needed)", signer.Subject)
	}
	for _, uri := range signer.URIs {
		if id, err := spiffeid.FromURI(uri); err != nil || !id.MemberOf(ca.domain) {
			return fmt.Errorf("CA certificate %q: it is for %s, not for the trust domain %s", signer.Subject, uri, ca.domain.Name())
		}
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("CA certificate: the last one, %q, is not a self-signed root: %w; append what signed it", root.Subject, err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range loaded.chain[1:] {
		between.AddCert(c)
	}
	_, err := signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: ca.clock(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("CA certificate %q: %w", signer.Subject, err)
	}
	return nil
}
