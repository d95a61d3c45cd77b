package rootkeeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/kube/kubetest"
)

// authority is a CA as an organisation or cert-manager has it.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signer, signKey := template, key
	if parent != nil {
		signer, signKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}

func crt(chain ...*authority) []byte {
	var out []byte
	for _, a := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	return out
}

func (a *authority) pem(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// give makes the user's Secret.
func (c *cluster) give(data map[string][]byte) {
	c.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "company"}, Type: corev1.SecretTypeTLS, Data: data}
	secrets := c.client.CoreV1().Secrets(system)
	if _, err := secrets.Update(c.t.Context(), secret, metav1.UpdateOptions{}); err == nil {
		return
	}
	if _, err := secrets.Create(c.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// The user's CA signs without ever being copied; an intermediate that was renewed
// is taken up at once, another root with overlap, and nothing is restarted.
func TestGivenCA(t *testing.T) {
	c := newCluster(t)
	c.secret = "company"
	r := c.start("a", true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := r.CA(ctx); err == nil || !strings.Contains(err.Error(), "smi-system/company, which ca.secret of the configuration names, does not exist") {
		t.Fatalf("got %v", err)
	}
	root := newAuthority(t, "company root", nil)
	first := newAuthority(t, "mesh 1", root)
	// This is how cert-manager writes an intermediate.
	c.give(map[string][]byte{"tls.crt": crt(first), "tls.key": first.pem(t), "ca.crt": crt(root)})
	ca := c.ready(r)
	web, db := c.pod("web"), c.pod("db")
	web.renew(r)
	db.renew(r)
	if len(web.chain) != 2 || !web.chain[1].Equal(first.cert) || !ca.Root().Equal(root.cert) {
		t.Fatalf("the chain has %d certificates", len(web.chain))
	}
	c.until(Stable, "")

	second := newAuthority(t, "mesh 2", root)
	c.give(map[string][]byte{"tls.crt": crt(second, root), "tls.key": second.pem(t)})
	kubetest.Eventually(t, func(context.Context) error {
		if web.renew(r); !web.chain[1].Equal(second.cert) {
			return errors.New("the old intermediate still signs")
		}
		return nil
	})
	allTrust(web, db)

	other := newAuthority(t, "another root", nil)
	c.give(map[string][]byte{"tls.crt": crt(other), "tls.key": other.pem(t), "ca.crt": crt(other)})
	for _, phase := range []Phase{Trusting, Signing, Removing} {
		c.until(phase, "2 pods")
		web.renew(r)
		c.until(phase, "1 pods")
		allTrust(web, db)
		db.renew(r)
	}
	if status := c.until(Stable, ""); len(status.Roots) != 1 || status.KeptIn != "company" || !ca.Root().Equal(other.cert) {
		t.Errorf("in the end: %+v, signing under %s", status, ca.Root().Subject)
	}
	allTrust(web, db)
	own, err := c.client.CoreV1().Secrets(system).Get(t.Context(), OwnSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range own.Data {
		if strings.Contains(string(value), "PRIVATE") {
			t.Errorf("the user's key was copied to %s", key)
		}
	}
}

// A mesh moves from its own CA to the user's with overlap.
func TestMoveToGivenCA(t *testing.T) {
	c := newCluster(t)
	r := c.start("a", true)
	c.ready(r)
	web, db := c.pod("web"), c.pod("db")
	web.renew(r)
	db.renew(r)
	c.until(Stable, "")
	company := newAuthority(t, "company", nil)
	c.give(map[string][]byte{"tls.crt": crt(company), "tls.key": company.pem(t)})
	r.kill()
	c.secret = "company"
	r = c.start("b", true)
	ca := c.ready(r)
	for _, phase := range []Phase{Trusting, Signing, Removing} {
		c.until(phase, "2 pods")
		web.renew(r)
		c.until(phase, "1 pods")
		allTrust(web, db)
		db.renew(r)
	}
	if c.until(Stable, ""); !ca.Root().Equal(company.cert) {
		t.Errorf("signs under %s", ca.Root().Subject)
	}
}

// A Secret that cannot be used changes nothing, and it is said why.
func TestGivenSecretRefusals(t *testing.T) {
	root := newAuthority(t, "root", nil)
	signer := newAuthority(t, "signer", root)
	good := map[string][]byte{"tls.crt": crt(signer), "tls.key": signer.pem(t), "ca.crt": crt(root)}
	if _, err := readGiven(testConfig, &corev1.Secret{Data: good}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		key   string
		value []byte
		want  string
	}{
		"no key":           {"tls.key", nil, "tls.key is missing"},
		"no certificate":   {"tls.crt", nil, "tls.crt is missing"},
		"another key":      {"tls.key", root.pem(t), "does not belong"},
		"no root":          {"ca.crt", nil, `the certificate that signed "CN=signer" is in neither`},
		"another root":     {"ca.crt", crt(newAuthority(t, "x", nil)), "is in neither"},
		"not PEM":          {"ca.crt", []byte("text"), "not PEM"},
		"a key among them": {"ca.crt", root.pem(t), "only certificates belong"},
	} {
		t.Run(name, func(t *testing.T) {
			data := maps.Clone(good)
			data[change.key] = change.value
			_, err := readGiven(testConfig, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "company"}, Data: data})
			if err == nil || !strings.Contains(err.Error(), change.want) || !strings.Contains(err.Error(), "smi-system/company") {
				t.Errorf("got %v, want ... %s", err, change.want)
			}
		})
	}
}

func TestUnusableSecretChangesNothing(t *testing.T) {
	c := newCluster(t)
	c.secret = "company"
	company := newAuthority(t, "company", nil)
	c.give(map[string][]byte{"tls.crt": crt(company), "tls.key": company.pem(t)})
	r := c.start("a", true)
	ca := c.ready(r)
	c.give(map[string][]byte{"tls.crt": crt(newAuthority(t, "x", nil)), "tls.key": company.pem(t)})
	kubetest.Eventually(t, func(context.Context) error {
		if r.Err() == nil {
			return errors.New("nothing is said")
		}
		return nil
	})
	if err := r.Err(); !strings.Contains(err.Error(), "does not belong") || !ca.Root().Equal(company.cert) {
		t.Errorf("signs under %s and says: %v", ca.Root().Subject, err)
	}
	c.until(Stable, "does not belong")
	c.pod("web").renew(r)
}
