package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// agentVariable makes a process of this test's program an agent.
const agentVariable = "SIDECAR_TEST_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(agentVariable) != "" {
		if err := runAgent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// agentConfig is what such a process reads from its standard input.
type agentConfig struct {
	Pod            mesh.Name
	ServiceAccount string
	XDSAddress     string
	Dir, Envoy     string
	LogLevel       string
	// CA and CAKey are the authority's, as PEM. In a cluster no agent has them.
	CA, CAKey []byte
}

// runAgent runs an agent until the test's own process ends.
func runAgent() error {
	var c agentConfig
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return err
	}
	ca, err := identity.LoadCA(identity.Config{TrustDomain: "cluster.local"}, c.CA, c.CAKey)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if c.LogLevel != "" {
		level = slog.LevelDebug
	} else {
		c.LogLevel = "warning"
	}
	a, err := agent.New(agent.Config{
		TrustDomain: "cluster.local", Pod: c.Pod, ServiceAccount: c.ServiceAccount,
		Source:     ca.Source(mesh.Account{Namespace: c.Pod.Namespace, Name: c.ServiceAccount}),
		XDSAddress: c.XDSAddress, Dir: c.Dir, Envoy: agent.Envoy{Binary: c.Envoy, LogLevel: c.LogLevel},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return a.Run(ctx)
}

// startAgent runs an agent and its Envoy in the pod's network, as the user that
// sidecars have.
func (p *pod) startAgent(t *testing.T, c agentConfig) {
	t.Helper()
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(c.Dir, sidecar.UserID, sidecar.UserID); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(c.Dir + ".log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{agentVariable + "=1"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: sidecar.UserID, Gid: sidecar.UserID}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.net.Start(cmd); err != nil {
		t.Fatalf("agent of %s: %v", c.Pod, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // Its Envoy ends with it.
		_ = cmd.Wait()
		_ = log.Close()
		said, _ := os.ReadFile(log.Name())
		if strings.Contains(string(said), "work-in-progress") {
			t.Errorf("the Envoy of %s complains of what is work in progress", c.Pod)
		}
		if len(said) > 0 && (t.Failed() || os.Getenv("RIG_LOG") != "") {
			t.Logf("agent of %s:\n%s", c.Pod, said)
		}
	})
	if _, err := stdin.Write(config); err != nil {
		t.Fatal(err)
	}
}

// shared makes a file that the sidecars' user can run.
func shared(t *testing.T, dir, program string) string {
	t.Helper()
	copied := filepath.Join(dir, filepath.Base(program))
	if err := os.Link(program, copied); err == nil {
		return copied
	}
	in, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(copied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}
