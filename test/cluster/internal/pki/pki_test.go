package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
)

func TestWrite(t *testing.T) {
	dir := layout.Dir(t.TempDir())
	if err := os.Mkdir(dir.Config(""), 0o700); err != nil {
		t.Fatal(err)
	}
	plan, err := network.Allocate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, "smi", plan); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, authority, server, user string }{
		{Serving, CA, "10.95.0.2", "kube-apiserver"},
		{Serving, CA, "kubernetes.default.svc", "kube-apiserver"},
		{Serving, CA, "::1", "kube-apiserver"},
		{Serving, CA, "10.96.0.1", "kube-apiserver"},
		{Kubelet, CA, "fd00:10:95::2", "system:node:smi"},
		{Admin, CA, "", "kubernetes-admin"},
		{FrontProxyClient, FrontProxyCA, "", "front-proxy-client"},
	} {
		pair, err := tls.LoadX509KeyPair(dir.Certificate(c.file), dir.Key(c.file))
		if err != nil {
			t.Fatal(err)
		}
		authority, err := os.ReadFile(dir.Certificate(c.authority))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		usage := x509.ExtKeyUsageClientAuth
		if c.server != "" {
			usage = x509.ExtKeyUsageServerAuth
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: c.server, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			t.Errorf("%s as %q: %v", c.file, c.server, err)
		}
		if pair.Leaf.Subject.CommonName != c.user {
			t.Errorf("%s is %s, want %s", c.file, pair.Leaf.Subject.CommonName, c.user)
		}
	}
	if err := filepath.WalkDir(string(dir), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v %v", path, info.Mode(), err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
