//go:build linux

package local

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smi-project/smi/examples/bookstore"
	"github.com/smi-project/smi/internal/tool"
)

// programs are smi and smi-sample, built once for all tests.
var programs struct{ smi, sample string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "smi-test-")
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/smi", "./examples/sample")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building smi and its sample: %v\n%s", err, out)
		os.Exit(1)
	}
	programs.smi, programs.sample = filepath.Join(dir, "smi"), filepath.Join(dir, "sample")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// folder is one that a runtime follows.
type folder struct {
	t    testing.TB
	path string
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	// Not t.TempDir: its names grow with those of tests, and sockets go there.
	path, err := os.MkdirTemp("", "smi-files-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return &folder{t, path}
}

// write replaces a file in one step.
func (f *folder) write(name, text string) {
	f.t.Helper()
	draft := filepath.Join(f.path, "."+name)
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(f.path, name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.path, name)); err != nil {
		f.t.Fatal(err)
	}
}

// example is the text of a file of the bookstore, with replacements.
func example(t testing.TB, name string, oldnew ...string) string {
	t.Helper()
	text, err := fs.ReadFile(bookstore.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(text), oldnew[i]) {
			t.Fatalf("%s has no %q", name, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(string(text))
}

// output collects what a runtime prints, as "source: text".
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) add(source, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, source+": "+text)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}

// count returns how many lines hold all of the words.
func (o *output) count(words ...string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, line := range o.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// running is a runtime under test.
type running struct {
	t   testing.TB
	rt  *Runtime
	out *output
}

// start runs a folder until the test ends, and then checks that nothing is left.
func start(t testing.TB, f *folder, change ...func(*Options)) *running {
	t.Helper()
	binary, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	options := Options{
		Paths: []string{f.path}, Envoy: binary, AdminSocket: filepath.Join(f.path, ".admin"),
		Commands: Commands{"smi-sample": {programs.sample}}, Line: out.add,
	}
	for _, c := range change {
		c(&options)
	}
	rt, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the runtime ended with: %v", err)
			}
		case <-time.After(bound):
			t.Error("the runtime does not end")
		}
		if _, err := os.Stat(rt.dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", rt.dir, err)
		}
		if t.Failed() {
			t.Logf("it said:\n%s", out.text())
		}
	})
	return &running{t, rt, out}
}

// bound is how long anything may take on a machine that is busy.
const bound = 30 * time.Second

// until waits for a condition. What it returns besides tells how things are.
func until(t testing.TB, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(bound)
	for {
		ok, how := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happened; last: %s", what, how)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (r *running) settle() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bound)
	defer cancel()
	if err := r.rt.Settle(ctx); err != nil {
		r.t.Fatalf("it does not settle: %v", err)
	}
}

// settledWith waits until the mesh is settled and has this many pods.
func (r *running) settledWith(pods int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("settled with %d pods", pods), func() (bool, string) {
		s := r.rt.Status()
		return s.Settled && len(s.Pods) == pods, fmt.Sprintf("%+v", s.Pods)
	})
}

// says waits for a line that holds all of the words.
func (r *running) says(words ...string) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("a line with %q", words), func() (bool, string) { return r.out.count(words...) > 0, "" })
}

// pod is the status of the pod namespace/name.
func (r *running) pod(name string) PodStatus {
	for _, p := range r.rt.Status().Pods {
		if p.Namespace+"/"+p.Name == name {
			return p
		}
	}
	return PodStatus{}
}

// ask sends requests from a workload.
func (r *running) ask(from, url string, n int) *Report {
	r.t.Helper()
	report, err := r.tryAsk(r.t.Context(), from, Request{Method: http.MethodGet, URL: url, Count: n})
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

func (r *running) tryAsk(ctx context.Context, from string, request Request) (*Report, error) {
	status := r.rt.Status()
	pod, err := status.FindPod(from)
	if err != nil {
		return nil, err
	}
	return status.Send(ctx, pod, request)
}

// answers waits until a request gets a status.
func (r *running) answers(from, url string, status int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%s gets %d from %s", from, status, url), func() (bool, string) {
		report, err := r.tryAsk(r.t.Context(), from, Request{Method: http.MethodGet, URL: url, Count: 1})
		return err == nil && report.Statuses[strconv.Itoa(status)] == 1, fmt.Sprint(report, err)
	})
}

// load sends requests until what it returns is called, which returns what became
// of them.
func (r *running) load(from, url string) func() *Report {
	ctx, stop := context.WithCancel(r.t.Context())
	done := make(chan *Report, 1)
	go func() {
		report, err := r.tryAsk(ctx, from, Request{Method: http.MethodGet, URL: url, Count: 1 << 30})
		if err != nil {
			report = &Report{Error: err.Error()}
		}
		done <- report
	}()
	return func() *Report {
		stop()
		return <-done
	}
}

// child is a process that the runtime has started.
type child struct {
	pid     int
	command string
	env     []string
}

// children are the living processes whose parent is the given one.
func children(parent int) []child {
	entries, _ := os.ReadDir("/proc")
	var found []child
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		_, rest, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(parent) || fields[0] == "Z" {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		found = append(found, child{pid, strings.ReplaceAll(string(command), "\x00", " "), strings.Split(string(env), "\x00")})
	}
	return found
}

// application is the process of a pod's application, envoy that of its sidecar;
// 0 where there is none.
func (r *running) application(pod string) int {
	for _, c := range children(os.Getpid()) {
		if slices.Contains(c.env, "HOSTNAME="+pod) && slices.Contains(c.env, "POD_IP="+r.address(pod)) {
			return c.pid
		}
	}
	return 0
}

func (r *running) envoy(pod string) int {
	for _, c := range children(os.Getpid()) {
		for _, p := range r.rt.Status().Pods {
			if p.Name == pod && strings.Contains(c.command, filepath.Join(r.rt.dir, p.SidecarAddress, "bootstrap.json")) {
				return c.pid
			}
		}
	}
	return 0
}

func (r *running) address(pod string) string {
	for _, p := range r.rt.Status().Pods {
		if p.Name == pod {
			return p.Address
		}
	}
	return ""
}
