package inpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

func TestSidecarSaysWhyItIsNotReady(t *testing.T) {
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{}, func(o *Options) {
		if err := os.WriteFile(o.TokenPath, []byte("bad"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	r.says(t, "Unauthenticated: the token is refused: it is not good")
	if err := os.WriteFile(r.options.TokenPath, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ready(t)
	if log := r.log.String(); strings.Contains(log, "Bearer") {
		t.Error("the log shows how the agent authenticates")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if err := <-stopped; err != nil {
		t.Errorf("stopped: %v", err)
	}
	if _, _, err := get("http://" + r.health + "/ready"); err == nil {
		t.Error("something answers after the end")
	}
}

// Only this pod notices an Envoy that dies: it is started again, with the
// certificate that the pod has.
func TestEnvoyThatDiesIsStartedAgain(t *testing.T) {
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{}, nil)
	r.ready(t)
	issued := c.count()
	pid := envoyPID(t, r)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another Envoy", func() error {
		_, body, err := get("http://" + r.metrics + "/metrics")
		if err == nil && !strings.Contains(body, "smi_envoy_restarts_total 1") {
			err = errors.New("no restart is counted")
		}
		return err
	})
	r.ready(t)
	if again := envoyPID(t, r); again == pid {
		t.Error("the same Envoy")
	}
	if now := c.count(); now != issued {
		t.Errorf("%d certificates were issued, and %d before Envoy died", now, issued)
	}
}

// envoyPID finds the Envoy of an agent by the bootstrap that it was given.
func envoyPID(t *testing.T, r *running) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-f", r.options.Dir+"/bootstrap.json").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// With certificates that live seconds, the sidecar stays ready over many of them.
func TestShortCertificates(t *testing.T) {
	c := startControl(t, 3*time.Second)
	r := c.start(sidecar.Settings{}, nil)
	r.ready(t)
	first, _ := r.agent.Identity()
	eventually(t, "certificates after the first", func() error {
		code, body, err := get("http://" + r.health + "/ready")
		if err != nil || code != http.StatusOK {
			t.Fatalf("not ready in between: %d %s %v", code, body, err)
		}
		if c.count() < 4 {
			return fmt.Errorf("%d so far", c.count())
		}
		return nil
	})
	if now, _ := r.agent.Identity(); !now.ExpiresAt.After(first.ExpiresAt) {
		t.Errorf("still %s", now)
	}
	// Without a control plane the pod says when its certificate has ended, and is
	// well again as soon as it can have another one.
	c.setRefusal(errors.New("no"))
	r.says(t, "the certificate has ended")
	c.setRefusal(nil)
	r.ready(t)
}

// The agent takes up other roots as soon as its file has changed.
func TestChangedRootsAreTakenUp(t *testing.T) {
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{}, nil)
	r.ready(t)
	next, err := identity.NewCA(identity.Config{TrustDomain: domain})
	if err != nil {
		t.Fatal(err)
	}
	both := append(c.ca.Bundle().Roots(), next.Root())
	if err := c.ca.Replace(next, both); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.options.RootsPath, c.ca.Bundle().PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a certificate of the other root", func() error {
		held, _ := r.agent.Identity()
		bundle, err := identity.ParseBundle(domain, held.BundlePEM)
		if err != nil {
			return err
		}
		if len(bundle.Roots()) != 2 {
			return errors.New("the pod trusts one root")
		}
		return nil
	})
	r.ready(t)
}

func TestScrapeMergesAndIsNotSpoiled(t *testing.T) {
	text := "app_orders_total 7\nsmi_requests_total 99\nenvoy_x 1\n"
	code := http.StatusOK
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/stats" || req.Header.Get("Cookie") != "" {
			t.Errorf("the application was asked for %s with %v", req.URL, req.Header)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(app.Close)
	port := portOf(t, app)
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{ApplicationMetrics: &corev1.HTTPGetAction{Path: "/stats", Port: intstr.FromInt(port)}}, nil)
	r.ready(t)
	for name, tc := range map[string]struct {
		text    string
		code    int
		want    []string
		without []string
	}{
		"good": {
			text: text, code: http.StatusOK,
			want:    []string{"app_orders_total 7", "envoy_server_live", `smi_scrape_up{source="application"} 1`, `smi_scrape_up{source="envoy"} 1`, "smi_certificate_expiry_timestamp_seconds 1"},
			without: []string{"smi_requests_total 99", "envoy_x"},
		},
		"an error": {text: text, code: http.StatusInternalServerError, want: []string{"envoy_server_live", `smi_scrape_up{source="application"} 0`}, without: []string{"app_orders_total"}},
		"no text":  {text: "<html>", code: http.StatusOK, want: []string{"envoy_server_live", `smi_scrape_up{source="application"} 0`}, without: []string{"html"}},
		"endless":  {text: strings.Repeat("a 1\n", maxScrape/4+1), code: http.StatusOK, want: []string{"envoy_server_live", `smi_scrape_up{source="application"} 0`}},
	} {
		text, code = tc.text, tc.code
		status, body, err := get("http://"+r.metrics+"/metrics", "Cookie", "secret")
		if err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %v", name, status, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %s is missing in\n%.3000s", name, want, body)
			}
		}
		for _, not := range tc.without {
			if strings.Contains(body, not) {
				t.Errorf("%s: %s is there", name, not)
			}
		}
	}
}

func portOf(t *testing.T, server *httptest.Server) int {
	t.Helper()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestLogLevelWhileRunning(t *testing.T) {
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{}, nil)
	r.ready(t)
	dir := r.options.Dir
	for _, step := range []struct{ set, want, envoy string }{{"", "info", "warning"}, {"debug", "debug", "debug"}, {"", "debug", "debug"}, {"error", "error", "error"}} {
		got, err := LogLevel(t.Context(), dir, step.set)
		if err != nil || got != step.want {
			t.Errorf("set %q: %q, %v; want %q", step.set, got, err, step.want)
		}
		levels, err := r.agent.Admin().Post(t.Context(), "/logging")
		if err != nil || !strings.Contains(string(levels), "upstream: "+step.envoy) {
			t.Errorf("set %q: Envoy's levels (%v) are not %s:\n%.300s", step.set, err, step.envoy, levels)
		}
	}
	if _, err := LogLevel(t.Context(), dir, "loud"); err == nil || !strings.Contains(err.Error(), "write debug, info, warn or error") {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(envoyPID(t, r), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another Envoy with the same level", func() error {
		levels, err := r.agent.Admin().Post(t.Context(), "/logging")
		if err == nil && !strings.Contains(string(levels), "upstream: error") {
			err = fmt.Errorf("its levels are %.300s", levels)
		}
		return err
	})
	if _, err := LogLevel(context.Background(), t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "no agent answers in this container") {
		t.Errorf("got %v", err)
	}
}

// A pod whose end is announced is ready until it is stopped: it still serves.
func TestDrainKeepsReady(t *testing.T) {
	c := startControl(t, 0)
	r := c.start(sidecar.Settings{}, nil)
	r.ready(t)
	if err := Drain(t.Context(), r.options.Dir); err != nil {
		t.Fatal(err)
	}
	if err := r.agent.Admin().Ready(t.Context()); err == nil {
		t.Error("Envoy does not know that its pod is going to end")
	}
	if code, body, err := get("http://" + r.health + "/ready"); err != nil || code != http.StatusOK {
		t.Errorf("not ready while it serves: %d %s %v", code, body, err)
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		sidecar.SettingsVariable: `{"controller":"smi.smi-system.svc:15012","trustDomain":"cluster.local"}`, sidecar.VariableNamespace: "shop",
		sidecar.VariablePod: "web-0", sidecar.VariableAccount: "web", sidecar.VariableAddresses: "10.0.0.7,fd00::7",
	}
	o, err := Environment(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if o.Pod != (mesh.Name{Namespace: "shop", Name: "web-0"}) || len(o.Addresses) != 2 || o.Addresses[1] != netip.MustParseAddr("fd00::7") || o.Probes != ":15022" {
		t.Errorf("got %+v", o)
	}
	for name := range env {
		_, err := Environment(func(asked string) string {
			if asked == name {
				return ""
			}
			return env[asked]
		})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
