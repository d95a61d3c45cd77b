package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	// maxPEM bounds what is parsed of a file or an answer, in bytes.
	maxPEM = 256 << 10
	// maxCertificates bounds the number of certificates in one text.
	maxCertificates = 32

	pemCertificate = "CERTIFICATE"
	pemRequest     = "CERTIFICATE REQUEST"
	pemKey         = "PRIVATE KEY"
)

// ParseCertificates reads one or more PEM certificates and nothing else; what
// names the text in errors.
func ParseCertificates(what string, text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s: longer than %d bytes", what, maxPEM)
	}
	var certs []*x509.Certificate
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s: text that is not PEM", what)
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("%s: a PEM block %q where only certificates belong", what, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", what, len(certs)+1, err)
		}
		if certs = append(certs, cert); len(certs) > maxCertificates {
			return nil, fmt.Errorf("%s: more than %d certificates", what, maxCertificates)
		}
		text = rest
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: no certificate in it", what)
	}
	return certs, nil
}

// EncodeCertificates returns certificates as concatenated PEM blocks.
func EncodeCertificates(certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw}))
	}
	return out.Bytes()
}

// parseKey reads the private key of a certificate authority. Its errors never
// carry a part of the text.
func parseKey(text []byte) (crypto.Signer, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("CA key: longer than %d bytes", maxPEM)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("CA key: not a single PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case pemKey:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("CA key: a PEM block %q; use an unencrypted PRIVATE KEY (PKCS #8)", block.Type)
	}
	if err != nil {
		return nil, errors.New("CA key: cannot be parsed as " + block.Type)
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k, checkCurve("CA key", &k.PublicKey)
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("CA key: RSA with %d bits; at least 2048 are needed", bits)
		}
		return k, nil
	}
	return nil, errors.New("CA key: neither ECDSA nor RSA")
}

// checkCurve accepts P-256, P-384 and P-521.
func checkCurve(what string, key *ecdsa.PublicKey) error {
	if bits := key.Curve.Params().BitSize; bits < 256 {
		return fmt.Errorf("%s: ECDSA on a curve of %d bits; use P-256 or better", what, bits)
	}
	return nil
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("private key: cannot be written as PKCS #8")
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}
