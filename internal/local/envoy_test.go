//go:build linux

package local

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/tool"
)

// script writes a program that stands for Envoy.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// An Envoy that cannot even say its version is refused at once.
func TestBrokenEnvoy(t *testing.T) {
	f := shopFolder(t)
	rt, err := New(Options{Paths: []string{f.path}, Envoy: script(t, "exit 3\n"), AdminSocket: filepath.Join(f.path, ".admin")})
	if err != nil {
		t.Fatal(err)
	}
	err = rt.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "this Envoy cannot be used") || !strings.Contains(err.Error(), "--envoy") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(rt.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left", rt.dir)
	}
}

// An Envoy that does not take its configuration is said to be so, again and again
// started, and the runtime ends in spite of it.
func TestEnvoyThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	real, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	f := shopFolder(t)
	r := start(t, f, func(o *Options) {
		o.Envoy = script(t, `case "$1" in --version) exec `+real+` --version;; esac
echo "error config cannot read what it was given" >&2
exit 1
`)
	})
	r.says("shop/web: ", "the sidecar's Envoy ended", "cannot read what it was given", "starts again in")
	until(t, "it was tried twice", func() (bool, string) {
		return r.out.count("shop/web: ", "the sidecar's Envoy ended") >= 2, ""
	})
	p := r.pod("shop/web")
	if p.Ready || p.State != Starting || p.Proxy != notConnected {
		t.Errorf("%+v", p)
	}
}

// Certificates are renewed while requests flow, and nobody notices.
func TestShortCertificates(t *testing.T) {
	t.Parallel()
	r := start(t, shopFolder(t), func(o *Options) { o.CertificateTTL = 6 * time.Second })
	r.settle()
	stop := r.load(client, web)
	<-time.After(10 * time.Second) // More than one life of a certificate.
	if report := stop(); report.Total < 100 || report.Statuses["200"] != report.Total {
		t.Errorf("%+v", report)
	}
}

// Two meshes of the same files on one machine do not meet.
func TestTwoMeshes(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	a := start(t, f)
	b := start(t, f, func(o *Options) { o.AdminSocket = filepath.Join(f.path, ".other") })
	a.settle()
	b.settle()
	for _, r := range []*running{a, b} {
		if report := r.ask(client, web, 3); report.Statuses["200"] != 3 || report.Backends["web"] != 3 {
			t.Errorf("%+v", report)
		}
	}
	if a.pod("shop/web").SidecarAddress == b.pod("shop/web").SidecarAddress {
		t.Error("both use the same addresses")
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	f := shopFolder(t)
	f.write("thief.yaml", podYAML("thief", "image: smi-sample"))
	r := start(t, f, func(o *Options) { o.AccessLog = path })
	r.settle()
	r.answers(client, web, 200)
	r.answers("shop/thief", web, 403)
	wanted := map[string]bool{"shop/client-calls-web": false, "denied": false}
	until(t, "the log has the grant and the denial", func() (bool, string) {
		file, err := os.Open(path)
		if err != nil {
			return false, err.Error()
		}
		defer file.Close()
		text := ""
		for lines := bufio.NewScanner(file); lines.Scan(); {
			text += lines.Text() + "\n"
			var entry map[string]any
			if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
				return false, "no JSON: " + lines.Text()
			}
			source, _ := entry["source"].(string)
			grant, _ := entry["grant"].(string)
			if strings.HasPrefix(source, "spiffe://cluster.local/ns/shop/sa/") {
				wanted[grant] = true
			}
		}
		return wanted["shop/client-calls-web"] && wanted["denied"], text
	})
}
