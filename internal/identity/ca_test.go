package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"
)

const domain = "cluster.local"

func newTestCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA(Config{TrustDomain: domain})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// wantError fails unless err says every one of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestCASurvivesPEM(t *testing.T) {
	ca := newTestCA(t)
	certPEM, keyPEM, err := ca.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadCA(Config{TrustDomain: domain}, certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	svid := issue(t, again, bank)
	if p, err := ca.Bundle().verify(parse(t, svid.ChainPEM), time.Now()); err != nil || p != bankPrincipal {
		t.Errorf("verify = %q, %v; want %q from the original root", p, err, bankPrincipal)
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "trust domain"},
		{Config{TrustDomain: "Cluster.Local"}, "lower-case"},
		{Config{TrustDomain: "spiffe://cluster.local"}, `write it as "cluster.local"`},
		{Config{TrustDomain: "a/b"}, "trust domain"},
		{Config{TrustDomain: domain, TTL: time.Millisecond}, "at least 2s"},
		{Config{TrustDomain: domain, TTL: -time.Hour}, "at least 2s"},
	} {
		_, err := NewCA(c.cfg)
		wantError(t, err, c.want)
	}
}

// authority makes a certificate authority's certificate for tests: of the given
// template, signed by parent or by itself.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func makeAuthority(t *testing.T, template *x509.Certificate, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, signer := template, key
	if parent != nil {
		by, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
}

func (a *authority) pem(t *testing.T) (certPEM, keyPEM []byte) {
	t.Helper()
	keyPEM, err := encodeKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return EncodeCertificates([]*x509.Certificate{a.cert}), keyPEM
}

func TestLoadedIntermediateSigns(t *testing.T) {
	root := makeAuthority(t, caTemplate("corporate root"), nil)
	between := makeAuthority(t, caTemplate("mesh intermediate"), root)
	rootPEM, _ := root.pem(t)
	certPEM, keyPEM := between.pem(t)
	ca, err := LoadCA(Config{TrustDomain: domain}, append(certPEM, rootPEM...), keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	svid := issue(t, ca, bank)
	chain := parse(t, svid.ChainPEM)
	if len(chain) != 2 || !chain[1].Equal(between.cert) {
		t.Errorf("the chain has %d certificates; want the leaf and the intermediate", len(chain))
	}
	if roots := ca.Bundle().Roots(); len(roots) != 1 || !roots[0].Equal(root.cert) {
		t.Errorf("the bundle is %v; want the corporate root alone", roots)
	}
	if svid.ExpiresAt.After(root.cert.NotAfter) {
		t.Errorf("the certificate lives until %s, longer than its root", svid.ExpiresAt)
	}
}

func TestLoadCARefusals(t *testing.T) {
	root := makeAuthority(t, caTemplate("root"), nil)
	other := makeAuthority(t, caTemplate("other"), nil)
	between := makeAuthority(t, caTemplate("between"), root)
	expired := caTemplate("expired")
	expired.NotAfter = time.Now().Add(-time.Minute)
	leaf := caTemplate("leaf")
	leaf.IsCA, leaf.KeyUsage = false, x509.KeyUsageDigitalSignature
	foreign := caTemplate("foreign")
	foreign.URIs = uris(t, "spiffe://elsewhere.example")

	certPEM, keyPEM := root.pem(t)
	otherPEM, otherKey := other.pem(t)
	betweenPEM, betweenKey := between.pem(t)
	load := func(a *authority) (c, k []byte) { return a.pem(t) }
	expiredPEM, expiredKey := load(makeAuthority(t, expired, nil))
	leafPEM, leafKey := load(makeAuthority(t, leaf, nil))
	foreignPEM, foreignKey := load(makeAuthority(t, foreign, nil))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	smallPEM, err := encodeKey(small)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224PEM, err := encodeKey(p224)
	if err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"no certificate":           {nil, keyPEM, "no certificate"},
		"garbage":                  {[]byte("garbage"), keyPEM, "not PEM"},
		"key among certificates":   {append(append([]byte{}, certPEM...), keyPEM...), keyPEM, `"PRIVATE KEY"`},
		"too long":                 {make([]byte, maxPEM+1), keyPEM, "longer than"},
		"no key":                   {certPEM, nil, "not a single PEM block"},
		"key too long":             {certPEM, make([]byte, maxPEM+1), "longer than"},
		"certificate as key":       {certPEM, certPEM, `"CERTIFICATE"`},
		"two keys":                 {certPEM, append(append([]byte{}, keyPEM...), otherKey...), "single"},
		"another's key":            {certPEM, otherKey, "does not belong"},
		"small RSA":                {certPEM, smallPEM, "2048"},
		"small curve":              {certPEM, p224PEM, "P-256"},
		"intermediate alone":       {betweenPEM, betweenKey, "append what signed it"},
		"intermediate, other root": {append(append([]byte{}, betweenPEM...), otherPEM...), betweenKey, "unknown authority"},
		"expired":                  {expiredPEM, expiredKey, "expired"},
		"not a CA":                 {leafPEM, leafKey, "may not sign"},
		"other trust domain":       {foreignPEM, foreignKey, "not for the trust domain cluster.local"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadCA(Config{TrustDomain: domain}, c.cert, c.key)
			wantError(t, err, c.want)
			if len(c.key) > 0 && strings.Contains(err.Error(), string(c.key)) {
				t.Error("the error carries the key")
			}
		})
	}
}

func TestExpiredCASignsNothing(t *testing.T) {
	now := time.Now()
	ca, err := NewCA(Config{TrustDomain: domain, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	_, csr, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	now = ca.Root().NotAfter
	_, _, err = ca.Sign(csr, bank)
	wantError(t, err, "the CA expires", "renew it")

	// Shortly before, it signs for as long as it lives itself.
	now = ca.Root().NotAfter.Add(-time.Hour)
	_, expiry, err := ca.Sign(csr, bank)
	if err != nil || !expiry.Equal(ca.Root().NotAfter) {
		t.Errorf("Sign = until %s, %v; want until %s", expiry, err, ca.Root().NotAfter)
	}
}

func TestReplaceTakesOverInOneStep(t *testing.T) {
	old, next := newTestCA(t), newTestCA(t)
	held := old.Bundle().Changed()
	if err := old.Replace(next, old.Bundle().Roots()); err == nil || !strings.Contains(err.Error(), "nobody would trust") {
		t.Fatalf("a CA signs with what its own roots do not vouch for: %v", err)
	}
	both := append(next.Bundle().Roots(), old.Bundle().Roots()...)
	if err := old.Replace(next, both); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held:
	default:
		t.Error("who follows the bundle was not told")
	}
	if !old.Root().Equal(next.Root()) || len(old.Bundle().Roots()) != 2 {
		t.Errorf("signs under %s with %d roots", old.Root().Subject, len(old.Bundle().Roots()))
	}
	elsewhere, err := NewCA(Config{TrustDomain: "elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Replace(elsewhere, elsewhere.Bundle().Roots()); err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("a CA took over another trust domain: %v", err)
	}
}
