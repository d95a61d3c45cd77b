package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// certificate writes one that a client trusts, and returns the folder and the client.
func certificate(t *testing.T) (string, *http.Client) {
	t.Helper()
	example := httptest.NewTLSServer(nil)
	t.Cleanup(example.Close)
	pair := example.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, example.Client()
}

// TestAdmit asks over HTTPS what an API server asks.
func TestAdmit(t *testing.T) {
	dir, client := certificate(t)
	r := start(t, nil, func(c *config) { c.ports[kindHTTPS], c.certificate = portList{0}, dir })
	for name, test := range map[string]struct {
		object string
		want   verdict
	}{
		"allowed": {"one", verdict{UID: "u", Allowed: true, Warnings: []string{"admitted by bookstore-v1-0"}}},
		"refused": {"refused-one", verdict{UID: "u", Status: &reason{"refused by bookstore-v1-0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","name":"` + test.object + `"}}`
			res, err := client.Post("https://"+r.address[kindHTTPS]+"/admit", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var got review
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want, _ := json.Marshal(review{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview", Response: &test.want})
			if text, _ := json.Marshal(got); string(text) != string(want) {
				t.Errorf("got  %s\nwant %s", text, want)
			}
		})
	}
	res, err := client.Post("https://"+r.address[kindHTTPS]+"/admit", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("a review without a request is answered with %s", res.Status)
	}
}
