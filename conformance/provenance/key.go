package provenance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// PrivateKey signs. It is Ed25519, or ECDSA on P-256 or P-384.
type PrivateKey struct {
	signer crypto.Signer
	Public *PublicKey
}

// PublicKey verifies what its private key has signed.
type PublicKey struct {
	key crypto.PublicKey
	// ID is the SHA-256 of the key's PKIX form, in hexadecimal. Envelopes name
	// their signers by it.
	ID string
}

// The types of PEM blocks.
const (
	pemPrivate = "PRIVATE KEY"    // PKCS #8
	pemEC      = "EC PRIVATE KEY" // SEC 1
	pemPublic  = "PUBLIC KEY"     // PKIX
)

// Generate makes an Ed25519 key.
func Generate() (*PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return newPrivate(key)
}

// PEM is the private key as PKCS #8, not encrypted.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// PEM is the public key in PKIX form.
func (k *PublicKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParsePrivateKey reads a private key from PEM, as openssl writes it and cosign
// imports it: PKCS #8, or SEC 1 for ECDSA, without a password.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it holds no key in PEM form")
	case strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("it is encrypted (%s): give a PKCS #8 key without a password, such as 'smi conformance keygen' or 'openssl genpkey' makes", block.Type)
	case block.Type == pemPublic:
		return nil, errors.New("it is a public key, and signing takes the private one")
	case block.Type == pemEC:
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("it is no EC key: %w", err)
		}
		return newPrivate(key)
	case block.Type != pemPrivate:
		return nil, fmt.Errorf("it holds %q, and Ed25519 and ECDSA keys in PKCS #8 form (%q) are read", block.Type, pemPrivate)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is no PKCS #8 key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of the type %T do not sign", key)
	}
	return newPrivate(signer)
}

func newPrivate(signer crypto.Signer) (*PrivateKey, error) {
	public, err := newPublic(signer.Public())
	if err != nil {
		return nil, err
	}
	return &PrivateKey{signer, public}, nil
}

// ParsePublicKey reads a public key from PEM in PKIX form.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("it holds no key in PEM form")
	case strings.HasSuffix(block.Type, pemPrivate):
		return nil, errors.New("it is a private key: keep it to yourself, and give the public one")
	case block.Type != pemPublic:
		return nil, fmt.Errorf("it holds %q, and public keys are %q", block.Type, pemPublic)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is no public key: %w", err)
	}
	return newPublic(key)
}

func newPublic(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("the curve is %s, and P-256 and P-384 are used", k.Curve.Params().Name)
		}
	default:
		return nil, fmt.Errorf("it is a key of the type %T, and Ed25519 and ECDSA are used", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return &PublicKey{key, hex.EncodeToString(sum[:])}, nil
}

// sign signs a message. ECDSA signs the digest whose size is the curve's, and
// gives a signature in ASN.1.
func (k *PrivateKey) sign(message []byte) ([]byte, error) {
	if _, ok := k.Public.key.(ed25519.PublicKey); ok {
		return k.signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest, hash := digestFor(k.Public.key.(*ecdsa.PublicKey), message)
	return k.signer.Sign(rand.Reader, digest, hash)
}

// verifies tells whether a signature of a message is this key's.
func (k *PublicKey) verifies(message, signature []byte) bool {
	switch key := k.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	case *ecdsa.PublicKey:
		digest, _ := digestFor(key, message)
		return ecdsa.VerifyASN1(key, digest, signature)
	}
	return false
}

func digestFor(key *ecdsa.PublicKey, message []byte) ([]byte, crypto.Hash) {
	if key.Curve == elliptic.P384() {
		sum := sha512.Sum384(message)
		return sum[:], crypto.SHA384
	}
	sum := sha256.Sum256(message)
	return sum[:], crypto.SHA256
}
