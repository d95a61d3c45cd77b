//go:build linux

package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a real smi run.
type program struct {
	t      testing.TB
	cmd    *exec.Cmd
	admin  string
	temp   string
	ended  chan error
	mu     sync.Mutex
	output bytes.Buffer
}

// Write takes what it prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// runProgram starts smi run in a temporary directory of its own.
func runProgram(t testing.TB, f *folder, args ...string) *program {
	t.Helper()
	temp, err := os.MkdirTemp("", "smi-tmp-")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, temp: temp, admin: filepath.Join(f.path, ".admin"), ended: make(chan error, 1)}
	p.cmd = exec.Command(programs.smi, append([]string{"run", "-f", f.path, "--exec", "smi-sample=" + programs.sample, "--admin", p.admin}, args...)...)
	p.cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = os.RemoveAll(temp)
		if t.Failed() {
			t.Logf("smi run said:\n%s", p.text())
		}
	})
	return p
}

func (p *program) says(words string) {
	p.t.Helper()
	until(p.t, "it says "+words, func() (bool, string) { return strings.Contains(p.text(), words), "" })
}

// smi runs another command to its end.
func smi(t testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, programs.smi, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestSignals is about how a run ends: by Ctrl-C and SIGTERM in order, and by
// SIGKILL at least without leaving anybody behind.
func TestSignals(t *testing.T) {
	t.Parallel()
	const begun, settled = "to send a request", "2 of 2 pods ready, every proxy in sync"
	for _, tc := range []struct {
		signal  syscall.Signal
		after   string
		orderly bool
	}{{syscall.SIGINT, settled, true}, {syscall.SIGTERM, settled, true}, {syscall.SIGINT, begun, true}, {syscall.SIGKILL, settled, false}} {
		t.Run(tc.signal.String()+" after "+tc.after, func(t *testing.T) {
			t.Parallel()
			p := runProgram(t, shopFolder(t))
			p.says(tc.after)
			started := children(p.cmd.Process.Pid)
			if tc.after == settled && len(started) != 4 {
				t.Fatalf("%d processes, want 2 applications and 2 Envoys: %v", len(started), started)
			}
			began := time.Now()
			if err := p.cmd.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			select {
			case <-p.ended:
			case <-time.After(bound):
				t.Fatal("it does not end")
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s to end", took)
			}
			until(t, "no process is left", func() (bool, string) { return !anyAlive(started), fmt.Sprint(started) })
			if !tc.orderly {
				return
			}
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if left, _ := os.ReadDir(p.temp); len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
			if _, err := os.Stat(p.admin); !os.IsNotExist(err) {
				t.Errorf("the admin socket is left: %v", err)
			}
		})
	}
}

func anyAlive(processes []child) bool {
	for _, c := range processes {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			return true
		}
	}
	return false
}

// TestProgram is about what a user of smi run and smi request sees.
func TestProgram(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	p := runProgram(t, f)
	p.says("the admin socket is " + p.admin)
	p.says("smi request --admin " + p.admin)
	p.says("every proxy in sync")
	t.Run("request", func(t *testing.T) {
		out, errs, code := smi(t, nil, "request", "--admin", p.admin, "--from", client, "-n", "3", "-o", "json", web)
		var got any
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
			t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
		}
		if text, _ := json.Marshal(got); string(text) != `{"backends":{"web":3},"statuses":{"200":3},"total":3}` {
			t.Errorf("got %s", text)
		}
	})
	t.Run("request from nobody", func(t *testing.T) {
		_, errs, code := smi(t, nil, "request", "--admin", p.admin, "--from", "shop/nobody", web)
		if code != 2 || !strings.Contains(errs, "no workload shop/nobody runs (there are shop/client, shop/web)") {
			t.Errorf("exit %d: %s", code, errs)
		}
	})
	t.Run("another run with the same socket", func(t *testing.T) {
		_, errs, code := smi(t, nil, "run", "-f", f.path, "--admin", p.admin)
		if code != 2 || !strings.Contains(errs, "another smi run uses the admin socket "+p.admin) || !strings.Contains(errs, "--admin") {
			t.Errorf("exit %d: %s", code, errs)
		}
	})
	if text := p.text(); strings.Contains(text, "\x1b") {
		t.Errorf("a pipe gets escape codes:\n%q", text)
	}
}

// TestProgramCannotRun is about what keeps smi run from beginning at all.
func TestProgramCannotRun(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	empty := t.TempDir()
	admin := filepath.Join(f.path, ".none")
	for name, tc := range map[string]struct {
		env  []string
		args []string
		says []string
	}{
		"a missing path": {
			args: []string{"run", "-f", filepath.Join(empty, "missing"), "--admin", admin},
			says: []string{filepath.Join(empty, "missing"), fs.ErrNotExist.Error()},
		},
		"no Envoy": {
			env:  []string{"ENVOY=", "PATH=" + empty, "SMI_TOOLS_DIR=" + empty},
			args: []string{"run", "-f", f.path, "--admin", admin},
			says: []string{"envoy not found", "make tools", "ENVOY"},
		},
		"a command that is not there": {
			args: []string{"run", "-f", f.path, "--exec", "smi-sample=/no/such/program"},
			says: []string{"--exec", "smi-sample", "/no/such/program"},
		},
		"an admin socket with a long path": {
			args: []string{"run", "-f", f.path, "--admin", "/tmp/" + strings.Repeat("x", 200)},
			says: []string{"at most 107", "--admin"},
		},
		"nobody to ask": {
			args: []string{"request", "--admin", admin, "--from", client, web},
			says: []string{"nothing answers at " + admin, "smi run -f PATH"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, code := smi(t, append([]string{"TMPDIR=" + empty}, tc.env...), tc.args...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			for _, words := range tc.says {
				if !strings.Contains(errs, words) {
					t.Errorf("it says nothing of %q:\n%s", words, errs)
				}
			}
			if left, _ := os.ReadDir(empty); len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}
