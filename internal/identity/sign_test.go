package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/mesh"
)

var bank = mesh.Account{Namespace: "bank", Name: "ledger"}

const bankPrincipal = mesh.Principal("spiffe://cluster.local/ns/bank/sa/ledger")

func uris(t *testing.T, texts ...string) []*url.URL {
	t.Helper()
	var out []*url.URL
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

func parse(t *testing.T, chainPEM []byte) []*x509.Certificate {
	t.Helper()
	chain, err := ParseCertificates("chain", chainPEM)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// issue gets an SVID the way a keeper does.
func issue(t *testing.T, ca *CA, account mesh.Account) *SVID {
	t.Helper()
	return issueFrom(t, ca.Source(account))
}

func issueFrom(t *testing.T, source CertificateSource) *SVID {
	t.Helper()
	key, csr, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	chain, bundle, err := source.Certificate(context.Background(), csr)
	if err != nil {
		t.Fatal(err)
	}
	svid, err := newSVID(key, chain, bundle, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func request(t *testing.T, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ID-1: whatever a request asks for, the names are those of the account.
func TestSignTakesNothingButTheKey(t *testing.T) {
	ca := newTestCA(t)
	key := ecKey(t, elliptic.P384())
	csr := request(t, key, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		URIs:     uris(t, "spiffe://cluster.local/ns/bank/sa/admin", "spiffe://cluster.local/ns/smi-system/sa/smi"),
		DNSNames: []string{XDSServerName, "*.bank.svc"}, EmailAddresses: []string{"root@bank"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}},
	})
	before := time.Now()
	chain, expiry, err := ca.Sign(csr, bank)
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, chain)[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != string(bankPrincipal) {
		t.Errorf("URI names = %v; want %s alone", leaf.URIs, bankPrincipal)
	}
	if n := len(leaf.DNSNames) + len(leaf.EmailAddresses) + len(leaf.IPAddresses) + len(leaf.Subject.Names); n != 0 {
		t.Errorf("%d names were taken from the request", n)
	}
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("IsCA = %t, key usage = %b; want a leaf that signs handshakes only", leaf.IsCA, leaf.KeyUsage)
	}
	if want := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}; !slices.Equal(leaf.ExtKeyUsage, want) {
		t.Errorf("extended key usage = %v; want %v", leaf.ExtKeyUsage, want)
	}
	if back := before.Sub(leaf.NotBefore); back < 59*time.Second || back > 62*time.Second {
		t.Errorf("valid from %s before now; want a minute", back)
	}
	if !leaf.NotAfter.Equal(expiry) || expiry.Before(before.Add(DefaultTTL-2*time.Second)) || expiry.After(time.Now().Add(DefaultTTL)) {
		t.Errorf("valid until %s, announced %s; want a day from now", leaf.NotAfter, expiry)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		t.Error("the certificate is not for the request's key")
	}
}

func TestSignReadsPEM(t *testing.T) {
	csr := request(t, ecKey(t, elliptic.P521()), &x509.CertificateRequest{})
	if _, _, err := newTestCA(t).Sign(pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: csr}), bank); err != nil {
		t.Error(err)
	}
}

func TestSignTTLInSeconds(t *testing.T) {
	ca, err := NewCA(Config{TrustDomain: domain, TTL: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	svid := issue(t, ca, bank)
	if life := svid.ExpiresAt.Sub(now); life <= time.Second || life > 3*time.Second {
		t.Errorf("the certificate lives %s; want just under 3s", life)
	}
}

func TestSignXDS(t *testing.T) {
	ca := newTestCA(t)
	leaf := parse(t, issueFrom(t, ca.XDSSource()).ChainPEM)[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://cluster.local/ns/smi-system/sa/smi" {
		t.Errorf("URI names = %v", leaf.URIs)
	}
	if !slices.Equal(leaf.DNSNames, []string{"smi-xds"}) {
		t.Errorf("DNS names = %v; want smi-xds", leaf.DNSNames)
	}
}

func TestSignRefusesRequests(t *testing.T) {
	ca := newTestCA(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, ecKey(t, elliptic.P256()), &x509.CertificateRequest{})
	forged := slices.Clone(good)
	forged[len(forged)-1] ^= 1 // The last byte of the signature.
	certificate := issue(t, ca, bank).ChainPEM
	inPEM := pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: good})

	for name, c := range map[string]struct {
		csr  []byte
		want string
	}{
		"empty":              {nil, "neither DER nor PEM"},
		"garbage":            {[]byte("let me in"), "neither DER nor PEM"},
		"too long":           {make([]byte, maxRequest+1), "longer than 8192 bytes"},
		"padded":             {append(slices.Clone(good), 0), "neither DER nor PEM"},
		"truncated":          {good[:len(good)-8], "neither DER nor PEM"},
		"two PEM blocks":     {append(slices.Clone(inPEM), inPEM...), "something follows"},
		"a certificate":      {certificate, `PEM block "CERTIFICATE"`},
		"forged signature":   {forged, "signature does not verify"},
		"RSA":                {request(t, rsaKey, &x509.CertificateRequest{}), "its key is RSA"},
		"Ed25519":            {request(t, edKey, &x509.CertificateRequest{}), "its key is Ed25519"},
		"P-224":              {request(t, ecKey(t, elliptic.P224()), &x509.CertificateRequest{}), "P-256 or better"},
		"nested PEM garbage": {pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: []byte("x")}), "neither DER nor PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ca.Sign(c.csr, bank)
			wantError(t, err, c.want, "bank/ledger")
			if !errors.Is(err, ErrRequest) {
				t.Errorf("%v does not wrap ErrRequest", err)
			}
		})
	}
}

func TestSignRefusesAccounts(t *testing.T) {
	ca := newTestCA(t)
	csr := request(t, ecKey(t, elliptic.P256()), &x509.CertificateRequest{})
	for _, a := range []mesh.Account{
		{}, {Namespace: "bank"}, {Name: "ledger"},
		{Namespace: "bank/sa/x", Name: "ledger"}, {Namespace: "bank", Name: "../admin"},
		{Namespace: "bank", Name: "a/sa/b"}, {Namespace: "Bank", Name: "ledger"},
		{Namespace: "bank", Name: "led ger"}, {Namespace: "bank.east", Name: "ledger"},
		{Namespace: "bank", Name: strings.Repeat("a", 254)}, {Namespace: "bank", Name: "ledger%2fadmin"},
	} {
		_, _, err := ca.Sign(csr, a)
		wantError(t, err, "account")
		if errors.Is(err, ErrRequest) {
			t.Errorf("%v blames the request for the account", err)
		}
	}
}

// Whoever had the control plane's identity could tell every proxy what to do.
func TestSignRefusesTheControlPlanesAccount(t *testing.T) {
	ca := newTestCA(t)
	csr := request(t, ecKey(t, elliptic.P256()), &x509.CertificateRequest{})
	if _, _, err := ca.Sign(csr, XDSAccount); !errors.Is(err, ErrRequest) {
		t.Errorf("a workload gets the identity of the control plane: %v", err)
	}
	if _, _, err := ca.SignXDS(csr); err != nil {
		t.Errorf("the control plane does not: %v", err)
	}
}

func FuzzSign(f *testing.F) {
	ca, err := NewCA(Config{TrustDomain: domain})
	if err != nil {
		f.Fatal(err)
	}
	_, csr, err := newRequest()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, csr []byte) {
		chain, _, err := ca.Sign(csr, bank)
		if err != nil {
			return
		}
		if p, err := ca.Bundle().verify(parse(t, chain), time.Now()); err != nil || p != bankPrincipal {
			t.Errorf("verify = %q, %v", p, err)
		}
	})
}

// A key must not slip out by printing what holds it.
func TestSVIDPrintsNoKey(t *testing.T) {
	svid := issue(t, newTestCA(t), bank)
	raw, err := svid.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secret, decimal := fmt.Sprintf("%x", raw), new(big.Int).SetBytes(raw).String()
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, svid)
		if strings.Contains(text, secret) || strings.Contains(text, decimal) || !strings.Contains(text, string(bankPrincipal)) {
			t.Errorf("%s prints %q", format, text)
		}
	}
	if text := svid.LogValue().String(); !strings.Contains(text, svid.Serial()) || strings.Contains(text, secret) {
		t.Errorf("the log value is %q", text)
	}
}
