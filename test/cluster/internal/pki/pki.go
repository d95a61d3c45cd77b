package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// lifetime is longer than any test cluster lives.
const lifetime = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// Holder is who a certificate is for.
type Holder struct {
	// File is the name of the two files, without ending.
	File string
	// User and Groups are whom the API server takes its holder for.
	User   string
	Groups []string
	// Names and Addresses are those of a server.
	Names     []string
	Addresses []netip.Addr
}

// NewAuthority makes an authority and writes its two files.
func NewAuthority(dir layout.Dir, file, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	template, err := certificate(pkix.Name{CommonName: name})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", name, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", name, err)
	}
	return &Authority{key: key, certificate: parsed}, write(dir, file, key, der)
}

// Issue makes a key pair for a holder, who may be client and server, and writes
// its two files.
func (a *Authority) Issue(dir layout.Dir, holder Holder) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of %s: %w", holder.File, err)
	}
	template, err := certificate(pkix.Name{CommonName: holder.User, Organization: holder.Groups})
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames = holder.Names
	for _, addr := range holder.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign the certificate of %s: %w", holder.File, err)
	}
	return write(dir, holder.File, key, der)
}

// NewSigner makes a key that signs tokens, and writes it and its public half.
func NewSigner(dir layout.Dir, file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key %s: %w", file, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("write the key %s: %w", file, err)
	}
	if err := writePEM(dir.Join("pki", file+".pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(dir, file, key)
}

func certificate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}, nil
}

func write(dir layout.Dir, file string, key *ecdsa.PrivateKey, der []byte) error {
	if err := writePEM(dir.Certificate(file), "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(dir, file, key)
}

func writeKey(dir layout.Dir, file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write the key of %s: %w", file, err)
	}
	return writePEM(dir.Key(file), "PRIVATE KEY", der)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
