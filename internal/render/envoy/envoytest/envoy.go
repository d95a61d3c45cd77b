package envoytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// Binaries returns the Envoys to test with, by release: the one of $ENVOY where
// that is set, else every supported release that the tool cache has.
func Binaries(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	if os.Getenv("ENVOY") == "" {
		for _, release := range tool.EnvoyReleases() {
			if path, err := tool.EnvoyVersion(release); err == nil {
				found[release] = path
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	path, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"envoy": path}
}

// Envoy is a running proxy.
type Envoy struct {
	dir   string
	admin string
	log   *syncBuffer
}

// Config is what a proxy starts with.
type Config struct {
	Binary    string
	CA        *CA
	Principal mesh.Principal
	Resources []Body
	// DrainSeconds is --drain-time-s.
	DrainSeconds int
	// LogAddress is where a gRPC access log service listens, if anywhere.
	LogAddress string
}

// startTimeout bounds how long a proxy may take to serve.
const startTimeout = 20 * time.Second

// Start runs an Envoy until the test ends, and returns when it has loaded its
// resources.
func Start(t testing.TB, c Config) *Envoy {
	t.Helper()
	e := &Envoy{dir: t.TempDir(), log: &syncBuffer{}}
	if err := e.prepare(t, c); err != nil {
		t.Fatal(err)
	}
	adminFile := filepath.Join(e.dir, "admin")
	cmd := exec.Command(c.Binary, "-c", filepath.Join(e.dir, "bootstrap.json"), "--use-dynamic-base-id", "--concurrency", "1",
		"--drain-time-s", fmt.Sprint(max(c.DrainSeconds, 1)), "--log-level", "warning", "--admin-address-path", adminFile)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s said:\n%s", c.Principal, e.log)
		}
	})
	Eventually(t, startTimeout, func() error {
		select {
		case <-exited:
			t.Fatalf("%s exited:\n%s", c.Binary, e.log)
		default:
		}
		address, err := os.ReadFile(adminFile)
		if err != nil {
			return err
		}
		e.admin = string(address)
		ready, err := e.get("/ready")
		if err == nil && !strings.HasPrefix(ready, "LIVE") {
			err = fmt.Errorf("proxy is %s:\n%s", ready, e.log)
		}
		return err
	})
	return e
}

// Validate asks Envoy whether it accepts the resources, without running.
func Validate(t testing.TB, c Config) {
	t.Helper()
	e := &Envoy{dir: t.TempDir()}
	if err := e.prepare(t, c); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(c.Binary, "-c", filepath.Join(e.dir, "static.json"), "--mode", "validate", "--log-level", "warning").CombinedOutput()
	if err != nil {
		t.Errorf("%s refuses: %v\n%s", c.Binary, err, out)
	}
}

func (e *Envoy) prepare(t testing.TB, c Config) error {
	cert, key := c.CA.Issue(t, c.Principal)
	secrets := map[string]any{
		"default": map[string]any{"name": "default", "tls_certificate": map[string]any{"certificate_chain": inline(cert), "private_key": inline(key)}},
		"root":    map[string]any{"name": "root", "validation_context": map[string]any{"trusted_ca": inline(c.CA.pem)}},
	}
	for name, secret := range secrets {
		secret.(map[string]any)["@type"] = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
		if err := replace(resourceFile(e.dir, "secret|"+name), response(secret)); err != nil {
			return err
		}
	}
	if err := write(e.dir, c.Resources); err != nil {
		return err
	}
	if err := replace(filepath.Join(e.dir, "bootstrap.json"), bootstrap(e.dir, c.LogAddress)); err != nil {
		return err
	}
	static, err := staticBootstrap(e.dir, c)
	if err != nil {
		return err
	}
	return replace(filepath.Join(e.dir, "static.json"), static)
}

func inline(s string) any { return map[string]any{"inline_string": s} }

// Update gives the proxy other resources. It returns before they take effect.
func (e *Envoy) Update(t testing.TB, resources []Body) {
	t.Helper()
	if err := write(e.dir, resources); err != nil {
		t.Fatal(err)
	}
}

// Rejections returns what the proxy has refused of its resources, as it said so.
func (e *Envoy) Rejections(t testing.TB) string {
	t.Helper()
	stats, err := e.get("/stats?usedonly&filter=rejected|config_fail")
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for line := range strings.Lines(stats) {
		if !strings.HasSuffix(strings.TrimSpace(line), ": 0") {
			bad = append(bad, line)
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return strings.Join(bad, "") + e.log.String()
}

// Stats returns the proxy's statistics whose names match the expression.
func (e *Envoy) Stats(t testing.TB, expr string) string {
	t.Helper()
	stats, err := e.get("/stats?filter=" + expr)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func (e *Envoy) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// Eventually waits until the condition holds.
func Eventually(t testing.TB, within time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", within, err)
		}
		<-ticker.C
	}
}

// FreePort returns a port that is free on the address.
func FreePort(t testing.TB, address string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
