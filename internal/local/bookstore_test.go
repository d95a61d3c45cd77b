//go:build linux

package local

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	buyer = "bookbuyer/bookbuyer"
	thief = "bookthief/bookthief"
	books = "http://bookstore.bookstore:9080/books"
	beta  = "bookstore-v2-0"
)

// bookstoreFolder holds the example as it is, but that nobody sends by himself.
func bookstoreFolder(t testing.TB) *folder {
	f := newFolder(t)
	f.write("app.yaml", quiet(t))
	for _, name := range []string{"access.yaml", "split.yaml", "ab-test.yaml"} {
		f.write(name, example(t, name))
	}
	return f
}

func quiet(t testing.TB, oldnew ...string) string {
	text := example(t, "app.yaml", oldnew...)
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, "- -loop=") && !strings.Contains(line, "- -every=") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestBookstore goes through a day with the example: every change of a file is
// seen, and nothing that did not change is disturbed.
func TestBookstore(t *testing.T) {
	t.Parallel()
	f := bookstoreFolder(t)
	r := start(t, f)
	r.settle()
	if n := len(r.rt.Status().Pods); n != 5 {
		t.Fatalf("%d pods, want 5", n)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *running, *folder)
	}{
		{"access", access}, {"splits as they are edited", edits}, {"malformed", malformed},
		{"replicas under load", scaling}, {"a changed command", changedCommand},
		{"a crash", crash}, {"an Envoy that dies", envoyDies}, {"counts", countsShares},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			inner := *r
			inner.t = t
			part.run(t, &inner, &folder{t, f.path})
		}) {
			return
		}
	}
}

func access(_ *testing.T, r *running, _ *folder) {
	r.answers(buyer, books, 200)
	r.answers(thief, books, 403)
}

// weights is split.yaml with other weights.
func weights(t testing.TB, v1, v2 int) string {
	return example(t, "split.yaml", "weight: 90", fmt.Sprintf("weight: %d", v1), "weight: 10", fmt.Sprintf("weight: %d", v2))
}

// allFrom waits until all of a few requests are answered by one pod.
func (r *running) allFrom(pod string) {
	r.t.Helper()
	until(r.t, "all from "+pod, func() (bool, string) {
		report := r.ask(buyer, books, 5)
		return report.Backends[pod] == 5, fmt.Sprint(report)
	})
}

// edits are the ways in which editors and tools change files.
func edits(t *testing.T, r *running, f *folder) {
	split := filepath.Join(f.path, "split.yaml")
	f.write("split.yaml", weights(t, 0, 1))
	r.allFrom(beta)
	if err := os.WriteFile(split, []byte(weights(t, 1, 0)), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	r.allFrom("bookstore-v1-0")
	// vim: the old file becomes a backup, the new one is written in its place.
	if err := os.Rename(split, split+"~"); err != nil {
		t.Fatal(err)
	}
	f.write("split.yaml", weights(t, 0, 7))
	f.remove("split.yaml~")
	r.allFrom(beta)
	f.remove("split.yaml")
	until(t, "both versions answer without a split", func() (bool, string) {
		report := r.ask(buyer, books, 20)
		return report.Backends[beta] == 10, fmt.Sprint(report)
	})
}

func malformed(t *testing.T, r *running, f *folder) {
	f.write("split.yaml", weights(t, 0, 1))
	r.allFrom(beta)
	f.write("split.yaml", "apiVersion: split.smi-spec.io/v1alpha4\nkind: [TrafficSplit\n")
	r.says("smi: ", "split.yaml:")
	// The broken file counts as it was; another one is followed all the same.
	f.write("access.yaml", example(t, "access.yaml", "- books\n", "- buy\n"))
	r.answers(buyer, books, 403)
	f.write("access.yaml", example(t, "access.yaml"))
	r.answers(buyer, books, 200)
	r.allFrom(beta)
	if n := r.out.count("split.yaml:", "counts as it was before"); n != 1 {
		t.Errorf("the finding is announced %d times, want once:\n%s", n, r.out.text())
	}
	f.write("split.yaml", weights(t, 1, 0))
	r.allFrom("bookstore-v1-0")
}

func scaling(t *testing.T, r *running, f *folder) {
	f.write("split.yaml", weights(t, 0, 1))
	r.allFrom(beta)
	stop := r.load(buyer, books)
	const one = "  name: bookstore-v2\n  namespace: bookstore\nspec:\n  replicas: 1"
	for _, replicas := range []int{3, 1, 2, 1} {
		f.write("app.yaml", quiet(t, one, strings.Replace(one, "1", fmt.Sprint(replicas), 1)))
		r.settledWith(4 + replicas)
	}
	report := stop()
	if report.Total < 100 || report.Statuses["200"] != report.Total {
		t.Errorf("requests failed while pods came and went: %+v", report)
	}
}

func changedCommand(t *testing.T, r *running, f *folder) {
	f.write("app.yaml", quiet(t, "- -version=v2", "- -version=v3"))
	until(t, "the new version answers", func() (bool, string) {
		report := r.ask(buyer, books, 1)
		return strings.Contains(report.Body, `"version": "v3"`), report.Body
	})
	r.settledWith(5)
	f.write("app.yaml", quiet(t))
	until(t, "the old version answers", func() (bool, string) {
		report := r.ask(buyer, books, 1)
		return strings.Contains(report.Body, `"version": "v2"`), report.Body
	})
	r.settledWith(5)
}

func crash(t *testing.T, r *running, _ *folder) {
	before := r.pod("bookstore/" + beta).Restarts
	pid := r.application(beta)
	if pid == 0 {
		t.Fatal("the application is not found")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.says("bookstore/"+beta, "was ended by signal", "starts again in")
	until(t, "the pod is ready again", func() (bool, string) {
		p := r.pod("bookstore/" + beta)
		return p.Ready && p.Restarts == before+1, fmt.Sprintf("%+v", p)
	})
	r.settle()
	r.allFrom(beta)
}

func envoyDies(t *testing.T, r *running, _ *folder) {
	pid := r.envoy("bookbuyer-0")
	if pid == 0 {
		t.Fatal("the sidecar is not found")
	}
	others := r.envoy(beta)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.says("bookbuyer/bookbuyer-0", "the sidecar's Envoy ended")
	until(t, "another Envoy has taken its place", func() (bool, string) {
		now := r.envoy("bookbuyer-0")
		return now != 0 && now != pid, fmt.Sprint(now)
	})
	r.settledWith(5)
	r.allFrom(beta)
	if r.envoy(beta) != others {
		t.Error("the Envoy of another pod is not the same any more")
	}
}

// countsShares is about the status: what a split wants, and what it got since its
// weights are what they are.
func countsShares(t *testing.T, r *running, f *folder) {
	f.write("split.yaml", weights(t, 1, 3))
	until(t, "the weights are there", func() (bool, string) {
		s := r.canary()
		return len(s.Backends) == 2 && s.Backends[1].Weight == 3 && r.rt.Status().Settled, fmt.Sprintf("%+v", s)
	})
	r.settle()
	const n = 400
	if report := r.ask(buyer, books, n); report.Statuses["200"] != n {
		t.Fatalf("%+v", report)
	}
	until(t, "the requests are counted", func() (bool, string) {
		s := r.canary()
		return s.Backends[0].Requests+s.Backends[1].Requests >= n, fmt.Sprintf("%+v", s)
	})
	s := r.canary()
	for _, b := range s.Backends {
		if math.Abs(b.Observed-b.Wanted) > 0.11 {
			t.Errorf("%s got %.2f, want %.2f", b.Service, b.Observed, b.Wanted)
		}
	}
	theft := Denial{Source: thief, Destination: "bookstore.bookstore:9080"}
	if denied := r.rt.Status().Denials; !slices.ContainsFunc(denied, func(d DenialCount) bool { return d.Denial == theft && d.Count > 0 }) {
		t.Errorf("the denials are %+v", denied)
	}
}

// canary is the split that applies to everybody.
func (r *running) canary() SplitStatus {
	for _, s := range r.rt.Status().Splits {
		if !s.Matches {
			return s
		}
	}
	return SplitStatus{}
}
