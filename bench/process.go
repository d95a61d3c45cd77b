package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is this program in another role, or an Envoy. It dies with us.
type child struct {
	role   bool
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// start runs a program, with what it complains about on our standard error.
func start(path string, args ...string) (*child, error) { return startLogged(os.Stderr, path, args...) }

// startLogged is start, with what the program complains about elsewhere.
func startLogged(log *os.File, path string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(path, args...)}
	c.cmd.Stderr = log
	// A terminal's interrupt goes to us, and we end our children.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdin, c.stdout = stdin, bufio.NewReader(stdout)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

// startRole runs this program in a role.
func startRole(role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := start(self, role)
	if err != nil {
		return nil, err
	}
	c.role = true
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// ask sends a line and waits for the answer, both JSON.
func (c *child) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", c.cmd.Args[1], err)
	}
	reply, err := c.stdout.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s ended without an answer: %w", c.cmd.Args[1], err)
	}
	return json.Unmarshal(reply, answer)
}

// stop ends the process: a role by the end of its input, an Envoy by a signal.
func (c *child) stop() {
	_ = c.stdin.Close()
	if !c.role {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-ended
	}
}

// serve answers questions on standard input until it ends.
func serve[Q any](answer func(Q) (any, error)) error {
	in := json.NewDecoder(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var q Q
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := answer(q)
		if err != nil {
			return err
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processorTimeOf is what all threads of another process have used.
func processorTimeOf(pid int) time.Duration {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum int64
	for _, t := range tasks {
		content, err := os.ReadFile(t)
		if err != nil {
			continue // The thread ended.
		}
		ran, _, _ := strings.Cut(string(content), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err == nil {
			sum += n
		}
	}
	return time.Duration(sum)
}

// residentBytes is the memory of a process that is not on disk.
func residentBytes(pid int) float64 { return memoryOf(pid, "VmRSS") }

// fileBytes are those of it that are pages of files: of the program itself.
func fileBytes(pid int) float64 { return memoryOf(pid, "RssFile") }

// mostResidentBytes is the most that it ever had.
func mostResidentBytes(pid int) float64 { return memoryOf(pid, "VmHWM") }

func memoryOf(pid int, which string) float64 {
	var kilo float64
	if _, err := fmt.Sscanf(field(fmt.Sprintf("/proc/%d/status", pid), which), "%f kB", &kilo); err != nil {
		return 0
	}
	return kilo * 1024
}

// envoysOf are the Envoys that a process has started.
func envoysOf(parent int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (name) state parent ...
		_, rest, _ := strings.Cut(string(content), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually tries until it works or the time is up.
func eventually(ctx context.Context, patience time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", patience, err)
		case <-ticker.C:
		}
	}
}

func envoyVersion(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "unknown"
	}
	// <path>  version: <revision>/<version>/...
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "version: ")
	parts := strings.Split(version, "/")
	if len(parts) < 2 {
		return "unknown"
	}
	return parts[1]
}
