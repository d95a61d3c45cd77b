package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// script makes an executable that stands for Envoy.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvoyIsStartedAgain(t *testing.T) {
	t.Setenv("SMI_TEST_TOKEN", "hunter2")
	var output bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var exits []Exit
	e := Envoy{
		Binary: script(t, `echo "critical main no such listener"; echo "stray line"; env >&2; exit 3`),
		Logger: slog.New(slog.NewTextHandler(&output, nil)),
		OnExit: func(x Exit) {
			if exits = append(exits, x); len(exits) == 3 {
				cancel()
			}
		},
	}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(exits) != 3 {
		t.Fatalf("%d exits; want 3", len(exits))
	}
	for i, x := range exits {
		wantError(t, x.Err, "exit status 3", "no such listener")
		if want := firstRestart << i; x.RestartIn != want {
			t.Errorf("restart %d is in %s; want %s", i, x.RestartIn, want)
		}
	}
	if text := output.String(); !strings.Contains(text, "stray line") || !strings.Contains(text, "component=main") {
		t.Errorf("the log is\n%s", text)
	} else if strings.Contains(text, "hunter2") {
		t.Error("Envoy was given our environment")
	}
}

func TestEnvoyThatCannotStart(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, plain + ".none", t.TempDir()} {
		wantError(t, (&Envoy{Binary: path}).Run(context.Background()), "Envoy", path)
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// pidFrom waits until a script has written a process id.
func pidFrom(t *testing.T, path string) int {
	t.Helper()
	var pid int
	eventually(t, 10*time.Second, "a process id", func(context.Context) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	return pid
}

// An Envoy that ignores SIGTERM is killed, with all of its group.
func TestEnvoyIsKilled(t *testing.T) {
	t.Parallel()
	binary := script(t, `trap '' TERM; sleep 600 & echo $! > "$0.child"; echo $$ > "$0.pid"; wait; wait`)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&Envoy{Binary: binary, StopTimeout: 50 * time.Millisecond}).Run(ctx) }()
	pid, child := pidFrom(t, binary+".pid"), pidFrom(t, binary+".child")
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not return")
	}
	eventually(t, 5*time.Second, "the end of the group", func(context.Context) error {
		if alive(pid) || alive(child) {
			return errors.New("a process is left")
		}
		return nil
	})
}

// TestHelperRunsEnvoy is no test: it is the process that the next test kills.
func TestHelperRunsEnvoy(t *testing.T) {
	if binary := os.Getenv("SMI_TEST_HELPER"); binary != "" {
		t.Fatal((&Envoy{Binary: binary}).Run(context.Background()))
	}
}

// No Envoy outlives the process that started it, however that ends.
func TestEnvoyDiesWithUs(t *testing.T) {
	t.Parallel()
	binary := script(t, `echo $$ > "$0.pid"; exec sleep 600`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	helper := exec.Command(self, "-test.run=^TestHelperRunsEnvoy$")
	helper.Env = append(os.Environ(), "SMI_TEST_HELPER="+binary)
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	pid := pidFrom(t, binary+".pid")
	if err := helper.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait() // It was killed, and says so.
	eventually(t, 5*time.Second, "the end of Envoy", func(context.Context) error {
		if alive(pid) {
			return fmt.Errorf("process %d is left", pid)
		}
		return nil
	})
}

const drainBootstrap = `{
  "node": {"id": "a", "cluster": "b"},
  "admin": {"address": {"pipe": {"path": %q, "mode": 384}}},
  "stats_flush_on_admin": true,
  "static_resources": {
    "listeners": [{
      "name": "data",
      "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
      "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
          {"match": {"prefix": "/quick"}, "direct_response": {"status": 200}},
          {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}
        ]}]}
      }}]}]
    }],
    "clusters": [{
      "name": "app", "type": "STATIC",
      "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": %q, "port_value": %d}}}}]}]}
    }]
  }
}`

// A stop lets a request in flight end, and tells new ones to go elsewhere.
func TestEnvoyDrains(t *testing.T) {
	t.Parallel()
	arrived, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-held
		_, _ = io.WriteString(w, "done")
	}))
	defer app.Close()
	defer release()
	host, port, _, err := hostPort(app.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &Envoy{
		Binary: envoyBinary(t), BootstrapPath: filepath.Join(dir, "b.json"), AdminSocket: filepath.Join(dir, "admin.sock"),
		DrainTime: 10 * time.Second, Logger: testLogger(t),
	}
	if err := os.WriteFile(e.BootstrapPath, fmt.Appendf(nil, drainBootstrap, e.AdminSocket, host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	url := "http://" + dataAddress(t, &Agent{envoy: *e})

	answered := make(chan error, 1)
	client := &http.Client{Transport: &http.Transport{}}
	go func() {
		resp, err := client.Get(url + "/slow")
		if err == nil {
			var body []byte
			if body, err = io.ReadAll(resp.Body); err == nil && string(body) != "done" {
				err = fmt.Errorf("%s: %q", resp.Status, body)
			}
			resp.Body.Close()
		}
		answered <- err
	}()
	<-arrived
	cancel()
	eventually(t, 5*time.Second, "the drain", func(ctx context.Context) error {
		resp, err := http.Get(url + "/quick")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if !resp.Close {
			return errors.New("connections are kept alive still")
		}
		return nil
	})
	release()
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLinesAreBounded(t *testing.T) {
	var output bytes.Buffer
	l := &lineLogger{logger: slog.New(slog.NewTextHandler(&output, nil))}
	for range 100 {
		if n, err := l.Write(bytes.Repeat([]byte("x"), 1000)); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := l.Write([]byte("\nwarning config half ")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("and half\n\n")); err != nil {
		t.Fatal(err)
	}
	if output.Len() > maxLine+1000 {
		t.Errorf("a line of 100 kB became %d bytes", output.Len())
	}
	if !strings.Contains(output.String(), `level=WARN msg="half and half" component=config`) {
		t.Errorf("the log ends with %q", output.String()[output.Len()-200:])
	}
}
