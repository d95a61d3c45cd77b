//go:build linux

package demo

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/tool"
)

func mark(good bool, text string) string {
	if good {
		return "+" + text
	}
	return "-" + text
}

// TestDemo tells the whole story on real Envoys.
func TestDemo(t *testing.T) {
	envoy, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	sample := filepath.Join(t.TempDir(), "smi-sample")
	build := exec.Command("go", "build", "-o", sample, "../../examples/sample")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temp, err := os.MkdirTemp("", "demo-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Out: &out, Paint: mark, Envoy: envoy, Sample: sample}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	passed := strings.Count(out.String(), "  +ok\n")
	if m := regexp.MustCompile(`demo: (\d+) checks, (\d+) passed\n$`).FindStringSubmatch(out.String()); m == nil || m[1] != m[2] || passed < 15 {
		t.Errorf("it ends otherwise:\n%s", out.String())
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// TestDemoWithoutSample is a demo whose pods cannot start: it says so and ends.
func TestDemoWithoutSample(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	err := Run(t.Context(), Options{Out: new(bytes.Buffer), Paint: mark, Envoy: "/no/such/envoy", Sample: "/no/such/sample"})
	if err == nil || errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "/no/such/envoy") {
		t.Errorf("got %v", err)
	}
}

func TestChecks(t *testing.T) {
	var out bytes.Buffer
	c := &checks{out: &out, paint: mark}
	c.step("%d. A step.", 1)
	c.check(true, "one", "one")
	c.check(false, "two", "three")
	const want = "\n1. A step.\n  +ok\n      expected: one\n      observed: one\n  -failed\n      expected: two\n      observed: three\n"
	if out.String() != want || c.total != 2 || c.passed != 1 {
		t.Errorf("%d of %d:\n%s", c.passed, c.total, out.String())
	}
}

func TestCounts(t *testing.T) {
	for want, m := range map[string]map[string]int{"none": nil, "1 x a": {"a": 1}, "2 x a, 3 x b": {"b": 3, "a": 2}} {
		if got := counts(m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The tolerance lets a right share through and not one that is off by a quarter.
func TestTolerance(t *testing.T) {
	for _, tc := range []struct {
		n           int
		p           float64
		least, most float64
	}{{1000, 0.1, 40, 50}, {400, 0.5, 45, 52}, {400, 0, 1, 1}, {400, 1, 1, 1}} {
		if got := tolerance(tc.n, tc.p); got < tc.least || got > tc.most {
			t.Errorf("%d draws with %g: %g, want %g to %g", tc.n, tc.p, got, tc.least, tc.most)
		}
	}
}

func TestEventually(t *testing.T) {
	n := 0
	if _, held := eventually(t.Context(), time.Minute, func() bool { n++; return n == 2 }); !held || n != 2 {
		t.Errorf("asked %d times, held %t", n, held)
	}
	if _, held := eventually(t.Context(), 0, func() bool { return false }); held {
		t.Error("what never holds has held")
	}
}
