package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/test/cluster/internal/host"
	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// name is one that nobody else takes at this time: it has the process id.
var name = "test" + fmt.Sprintf("%x", os.Getpid())

// command runs the program and gives what it prints.
type command struct {
	t       *testing.T
	program string
}

func newCommand(t *testing.T) command {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a cluster needs namespaces, mounts and control groups of the machine: run this test as root")
	}
	program := filepath.Join(t.TempDir(), "cluster")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	return command{t, program}
}

func (c command) try(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(c.program, append(args, "--name", name)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cluster %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

func (c command) must(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// pid is process 1 of the node, by the machine's count.
func (c command) pid() int {
	c.t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(c.must("status", "--json")), &status); err != nil {
		c.t.Fatal(err)
	}
	return status.PID
}

// kubectl runs the built kubectl on the cluster.
func (c command) kubectl(input string, args ...string) string {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.must("assets"), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.must("kubeconfig"))
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// TestControlPlane goes through the life of a control plane: start, work,
// restart of a component, crash, start after it, loss of the record, end.
func TestControlPlane(t *testing.T) {
	c := newCommand(t)
	t.Cleanup(func() {
		if _, err := c.try("down"); err != nil {
			t.Error(err)
		}
		expectNothingLeft(t)
	})
	c.must("up", "--control-plane-only")
	first := c.pid()
	tokensAreReviewed(c)

	c.must("up", "--control-plane-only")
	if again := c.pid(); again != first {
		t.Errorf("up on a cluster that is up replaced process %d by %d", first, again)
	}
	if _, err := c.try("up"); err == nil || !strings.Contains(err.Error(), "control plane only") {
		t.Errorf("up with nodes on a cluster without: %v", err)
	}

	c.must("stop", "kube-apiserver")
	if _, err := c.try("status"); err == nil || !strings.Contains(err.Error(), "kube-apiserver is stopped") {
		t.Errorf("status of a cluster without API server: %v", err)
	}
	c.must("restart", "kube-apiserver")
	c.kubectl("", "get", "serviceaccount", "reader")

	// A crash takes all processes of the node along and leaves the rest.
	crash(t, first)
	c.must("up", "--control-plane-only")
	if c.pid() == first {
		t.Errorf("process %d was killed and is the node still", first)
	}
	if out := c.kubectl("", "get", "serviceaccounts", "-o", "name"); strings.Contains(out, "reader") {
		t.Errorf("a new cluster has objects of the old one: %s", out)
	}

	// Without its record the node is known by its control groups alone.
	if err := os.Remove(filepath.Join(filepath.Dir(c.must("kubeconfig")), "state.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.try("status"); err == nil || !strings.Contains(err.Error(), "is not up") {
		t.Errorf("status of a cluster without record: %v", err)
	}
}

// crash kills a process and waits until it has ended.
func crash(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 {
		t.Fatalf("process %d was killed and goes on: %v", pid, err)
	}
}

// tokensAreReviewed asks for a token and has it judged for its audience and
// for another.
func tokensAreReviewed(c command) {
	c.t.Helper()
	c.kubectl("", "create", "serviceaccount", "reader")
	token := strings.TrimSpace(c.kubectl("", "create", "token", "reader", "--audience", "smi-spec.io"))
	for audience, want := range map[string]bool{"smi-spec.io": true, "another.example": false} {
		review := fmt.Sprintf(`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
			"spec": {"token": %q, "audiences": [%q]}}`, token, audience)
		var out struct {
			Status struct {
				Authenticated bool
				User          struct{ Username string }
			}
		}
		if err := json.Unmarshal([]byte(c.kubectl(review, "create", "-o", "json", "-f", "-")), &out); err != nil {
			c.t.Fatal(err)
		}
		if out.Status.Authenticated != want {
			c.t.Errorf("a token for smi-spec.io, reviewed for %s: authenticated %v", audience, out.Status.Authenticated)
		}
		if want && out.Status.User.Username != "system:serviceaccount:default:reader" {
			c.t.Errorf("the token is that of %q", out.Status.User.Username)
		}
	}
}

// expectNothingLeft looks for the cluster wherever it could have left something.
func expectNothingLeft(t *testing.T) {
	t.Helper()
	root := os.Getenv("SMI_CLUSTER")
	if root == "" {
		root = layout.DefaultState
	}
	machine := &host.Machine{Root: root}
	left, err := machine.Left(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range left {
		t.Errorf("left behind: %s", what)
	}
	// A process of the node would be in its control groups, would have its folder
	// among its arguments or would see it mounted, whatever its namespaces are.
	for _, file := range []string{"cgroup", "cmdline", "mountinfo"} {
		found, err := filepath.Glob("/proc/[0-9]*/" + file)
		if err != nil || len(found) == 0 {
			t.Fatalf("list processes: %v", err)
		}
		for _, path := range found {
			// Processes of others come and go meanwhile.
			text, err := os.ReadFile(path)
			if err == nil && bytes.Contains(text, []byte("smi-cluster/"+name)) && !ended(filepath.Dir(path)) {
				t.Errorf("left behind: a process, %s says\n%s", path, text)
			}
		}
	}
}

// ended tells a process that has ended and that process 1 of the machine has
// not taken notice of yet.
func ended(folder string) bool {
	text, err := os.ReadFile(filepath.Join(folder, "stat"))
	return err != nil || bytes.Contains(text, []byte(") Z "))
}
