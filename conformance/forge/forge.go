// Package forge signs certificates that no mesh would give to anybody: expired
// ones, ones of an authority that nobody trusts, ones of somebody else. The suite
// has its client outside the mesh show them, to see that they open nothing.
//
// It signs whatever it is asked to and verifies nothing, so nothing but a
// conformance run may use it.
package forge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/smi-project/smi/conformance/driver"
)

// Certificate is what a workload's certificate is to say.
type Certificate struct {
	// IDs are its URI names, such as a SPIFFE id. A true one has exactly one.
	IDs []string
	// From and Until bound the time for which it is valid.
	From, Until time.Time
}

// Valid is a certificate of the ids for now and an hour more.
func Valid(ids ...string) Certificate {
	return Certificate{IDs: ids, From: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Hour)}
}

// Expired is one that was valid for an hour and is so no more, for longer than
// clocks differ.
func Expired(ids ...string) Certificate {
	return Certificate{IDs: ids, From: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(-time.Hour)}
}

// Early is one that will be valid in an hour.
func Early(ids ...string) Certificate {
	return Certificate{IDs: ids, From: time.Now().Add(time.Hour), Until: time.Now().Add(2 * time.Hour)}
}

// Authority is a certificate with its key that signs others.
type Authority struct {
	// chain is what signs, and what leads from there to the root, which is last.
	chain []*x509.Certificate
	key   crypto.Signer
}

// New makes an authority of its own, which nobody trusts, for the trust domain of
// a SPIFFE id.
func New(id string) (*Authority, error) {
	domain, err := url.Parse(id)
	if err != nil || domain.Scheme != "spiffe" || domain.Host == "" {
		return nil, fmt.Errorf("%q is no SPIFFE id", id)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		Subject: pkix.Name{CommonName: "a root that nobody trusts"}, URIs: []*url.URL{{Scheme: "spiffe", Host: domain.Host}},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, err
	}
	signed, err := x509.ParseCertificate(der)
	return &Authority{[]*x509.Certificate{signed}, key}, err
}

// Load reads an authority from PEM: the certificate that signs, then what leads to
// the root, and the key of the first (PKCS #8, or SEC 1 for ECDSA).
func Load(certificates, key []byte) (*Authority, error) {
	a := new(Authority)
	for rest := certificates; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the authority's certificate: %w", err)
		}
		a.chain = append(a.chain, certificate)
	}
	if len(a.chain) == 0 {
		return nil, errors.New("the authority's certificate: there is none")
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the authority's key: there is none")
	}
	var err error
	a.key, err = parseKey(block.Bytes)
	return a, err
}

func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("the authority's key: it is neither PKCS #8 nor SEC 1")
}

// Sign makes a key and signs the certificate for it, whatever that says.
func (a *Authority) Sign(c Certificate) (*driver.Credentials, error) {
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetInt64(time.Now().UnixNano()), NotBefore: c.From, NotAfter: c.Until,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, id := range c.IDs {
		name, err := url.Parse(id)
		if err != nil {
			return nil, err
		}
		template.URIs = append(template.URIs, name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.chain[0], key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for _, between := range a.chain[:len(a.chain)-1] {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: between.Raw})...)
	}
	return &driver.Credentials{
		Certificate: string(out), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}, nil
}
