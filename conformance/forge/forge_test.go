package forge

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

const id = "spiffe://example.org/ns/shop/sa/buyer"

// TestSign sees that what is signed is what was asked for, and verifies against
// the authority at the times that it says and no others.
func TestSign(t *testing.T) {
	a, err := New(id)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.chain[0])
	for name, test := range map[string]struct {
		wanted Certificate
		valid  bool
	}{
		"valid":      {Valid(id), true},
		"no name":    {Valid(), true},
		"two names":  {Valid(id, id+"2"), true},
		"expired":    {Expired(id), false},
		"not yet so": {Early(id), false},
	} {
		t.Run(name, func(t *testing.T) {
			signed, err := a.Sign(test.wanted)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.X509KeyPair([]byte(signed.Certificate), []byte(signed.Key))
			if err != nil {
				t.Fatal(err)
			}
			if len(pair.Leaf.URIs) != len(test.wanted.IDs) {
				t.Errorf("it has the names %v; wanted %v", pair.Leaf.URIs, test.wanted.IDs)
			}
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != test.valid {
				t.Errorf("it verifies: %v; wanted that: %t", err, test.valid)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	a, err := New(id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.chain[0].Raw})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	loaded, err := Load(certificate, private)
	if err != nil || !loaded.chain[0].Equal(a.chain[0]) {
		t.Fatalf("%v", err)
	}
	for name, test := range map[string][2][]byte{
		"no certificate": {nil, private},
		"no key":         {certificate, nil},
		"another key":    {certificate, certificate},
	} {
		if _, err := Load(test[0], test[1]); err == nil {
			t.Errorf("%s: it is loaded all the same", name)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, id := range []string{"", "example.org", "https://example.org/ns/a/sa/b", "spiffe:///ns/a"} {
		if _, err := New(id); err == nil {
			t.Errorf("%q is taken for a SPIFFE id", id)
		}
	}
}
