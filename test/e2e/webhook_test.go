//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWebhook has the API server, which has no identity, call an admission webhook
// that a meshed pod serves: on the port that the pod opens to such peers, and on one
// that it does not.
func TestWebhook(t *testing.T) {
	const ns = "e2e-webhook"
	here.namespace(t, ns, meshed())
	certificate, key := selfSigned(t, "hook."+ns+".svc")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hook"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
	if _, err := here.core.CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	here.apply(t, workload{
		namespace: ns, name: "hook", secret: "hook", args: []string{"-http=8080", "-https=9443,9444", "-certificate=/certificate"},
		ports: []string{"https:9443", "https-closed:9444"}, podAnnotations: map[string]string{"smi-spec.io/plaintext-ports": "9443"},
	}.yaml())
	here.running(t, ns)
	hook := func(port int) string {
		return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: e2e-hook}
webhooks: [{name: hook.e2e.test, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Fail, timeoutSeconds: 5,
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}, objectSelector: {matchLabels: {e2e: ask}},
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}],
  clientConfig: {caBundle: %[2]s, service: {namespace: %[1]s, name: hook, port: %[3]d, path: /admit}}}]
`, ns, base64.StdEncoding.EncodeToString(certificate), port)
	}
	t.Cleanup(func() { here.removeAll(t, hook(0)) })
	// create asks for an object, and says what the API server answers.
	create := func(ctx context.Context, name string) string {
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"e2e": "ask"}}}
		if _, err := here.core.CoreV1().ConfigMaps(ns).Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			return err.Error()
		}
		return "created"
	}
	for _, test := range []struct {
		port       int
		name, want string
	}{
		{9444, "one", "failed calling webhook"},
		{9443, "refused-one", "refused by " + ns + "/hook"},
		{9443, "one", "created"},
	} {
		t.Run(fmt.Sprintf("%s by %d", test.name, test.port), func(t *testing.T) {
			here.apply(t, hook(test.port))
			eventually(t, "the API server says "+test.want, func(ctx context.Context) string {
				if got := create(ctx, test.name); !strings.Contains(got, test.want) {
					return got
				}
				return ""
			})
		})
	}
}

// selfSigned is a certificate of a name, which is its own authority, and its key, as
// PEM.
func selfSigned(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}
