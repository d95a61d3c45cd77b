package conformance

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
	"github.com/smi-project/smi/conformance/share"
)

// Allowed expects an application to answer: an HTTP request with 2xx, or 101 for
// an upgrade, a gRPC call with OK, a connection with a line; and to answer to the
// end. It returns the answer.
func (t *T) Allowed(c Call) *driver.Answer {
	return t.Answered(c, "an answer of the application", unsuccessful)
}

// AllowedAt expects the application of a workload, such as "smi-apps/v1", to
// answer as Allowed wants it.
func (t *T) AllowedAt(c Call, workload string) *driver.Answer {
	return t.Answered(c, "an answer of "+workload, func(a *driver.Answer) string {
		if a.Pod != workload {
			return "somebody else answered, or nobody"
		}
		return unsuccessful(a)
	})
}

// unsuccessful complains of what is no success of an application.
func unsuccessful(a *driver.Answer) string {
	switch {
	case a.Pod == "":
		return "no application answered"
	case a.Failure == driver.CutOff:
		return "the answer of the application was cut off"
	case !a.Succeeded():
		return "the application did not succeed"
	}
	return ""
}

// Status expects an HTTP status that no application sent.
func (t *T) Status(c Call, status int) *driver.Answer {
	return t.Answered(c, fmt.Sprintf("%d of the mesh", status), func(a *driver.Answer) string {
		if a.Status != status || a.Pod != "" {
			return "another answer"
		}
		return ""
	})
}

// Answered expects an answer in which complaint finds nothing to complain about.
func (t *T) Answered(c Call, wanted string, complaint func(*driver.Answer) string) *driver.Answer {
	got := t.Send(c, 1)
	detail := complaint(&got.First)
	if detail != "" {
		detail += ": " + describe(&got.First)
	}
	t.record(c, wanted, got, detail)
	return &got.First
}

// describe tells an answer in a line.
func describe(a *driver.Answer) string {
	text := a.Word()
	if body := strings.TrimSpace(a.Body); body != "" {
		text += fmt.Sprintf(" %.200q", body)
	}
	if a.Error != "" {
		text += " (" + a.Error + ")"
	}
	return text
}

// maxComparisons bounds how many shares one run compares. Each comparison may
// raise its part of share.FalseAlarm.
const maxComparisons = 100

// delta is how far a share may not be off.
const delta = 0.05

// Shares expects calls to be answered by workloads in the shares given, which add
// up to 1; nobody else may answer. So many are sent that a share which is five
// points off is seen with a probability of 0.99, while right ones raise an alarm
// once in 10^8 comparisons, and once in 10^6 runs.
func (t *T) Shares(c Call, shares map[string]float64) {
	alarm := share.FalseAlarm / maxComparisons
	if err := t.run.compared(len(shares)); err != nil {
		t.Fatalf("%v", err)
	}
	n := 0
	for _, p := range shares {
		n = max(n, share.Enough(p, delta, alarm))
	}
	got := t.Send(c, n)
	var wrong []string
	for _, workload := range slices.Sorted(maps.Keys(shares)) {
		k, p := got.Pods[workload], shares[workload]
		if !share.Fits(got.Sent, k, p, alarm) {
			wrong = append(wrong, fmt.Sprintf("%s got %.1f %%", workload, 100*float64(k)/float64(got.Sent)))
		}
	}
	for pod, k := range got.Pods {
		if _, ok := shares[pod]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s got %d", pod, k))
		}
	}
	answered := 0
	for _, k := range got.Pods {
		answered += k
	}
	sum := 0.0
	for _, p := range shares {
		sum += p
	}
	// Where shares do not add up to 1, the rest is to fail.
	if math.Abs(sum-1) < 1e-9 && answered != got.Sent {
		wrong = append(wrong, fmt.Sprintf("%d got no answer of an application, or no success", got.Sent-answered))
	}
	t.record(c, describeShares(shares), got, strings.Join(wrong, ", "))
}

func describeShares(shares map[string]float64) string {
	var parts []string
	for _, workload := range slices.Sorted(maps.Keys(shares)) {
		parts = append(parts, fmt.Sprintf("%.1f %% by %s", 100*shares[workload], workload))
	}
	return strings.Join(parts, ", ")
}

// Always expects each of count calls to be answered by the workload, with success.
func (t *T) Always(c Call, count int, workload string) {
	got := t.Send(c, count)
	detail := ""
	if got.Pods[workload] != count {
		detail = fmt.Sprintf("%d were not", count-got.Pods[workload])
	}
	t.record(c, fmt.Sprintf("all of %d by %s", count, workload), got, detail)
}

// Mixed expects each of count answers to be one of the words (driver.Answer.Word),
// such as "200 from smi-apps/v1", and every word to be among the answers.
func (t *T) Mixed(c Call, count int, words ...string) {
	got := t.Send(c, count)
	var wrong []string
	for _, word := range slices.Sorted(maps.Keys(got.Words)) {
		if !slices.Contains(words, word) {
			wrong = append(wrong, fmt.Sprintf("%d were %s", got.Words[word], word))
		}
	}
	for _, word := range words {
		if got.Words[word] == 0 {
			wrong = append(wrong, "none was "+word)
		}
	}
	t.record(c, fmt.Sprintf("%d of %s", count, strings.Join(words, ", ")), got, strings.Join(wrong, ", "))
}

// Connection tells how the connection of a session is.
func (t *T) Connection(w Workload, name string) driver.Connection {
	state, err := t.run.driver(w).Session(t.ctx, t.session(name))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return state
}

// Open expects the connection of a session to be open.
func (t *T) Open(w Workload, name string) {
	t.observe(w, name, "open", t.Connection(w, name).Open)
}

// ClosedWithin expects the connections of sessions to be closed within a bound.
func (t *T) ClosedWithin(bound time.Duration, w Workload, names ...string) {
	started := time.Now()
	ctx, cancel := context.WithDeadline(t.ctx, started.Add(bound))
	defer cancel()
	for _, name := range names {
		closed := eventually(ctx, func() bool { return !t.Connection(w, name).Open })
		t.observe(w, name, fmt.Sprintf("closed within %s", bound), closed)
		t.evidence[len(t.evidence)-1].Elapsed = time.Since(started).Seconds()
	}
}

// Flowing expects that something still comes over the connection of a session,
// to which an application sends without being asked.
func (t *T) Flowing(w Workload, name string) {
	ctx, cancel := context.WithTimeout(t.ctx, driver.Patience)
	defer cancel()
	before := t.Connection(w, name)
	t.observe(w, name, "open, and something comes", eventually(ctx, func() bool {
		now := t.Connection(w, name)
		return now.Open && now.Bytes > before.Bytes
	}))
}

// eventually asks until the answer is yes, or the context ends: then no.
func eventually(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func (t *T) observe(w Workload, name, wanted string, held bool) {
	e := report.Evidence{From: string(w), What: "connection " + name, Wanted: wanted, Held: held}
	if !held {
		e.Detail = "it is not"
		t.Errorf("connection %s of %s is not %s", name, w, wanted)
	}
	t.evidence = append(t.evidence, e)
}
