package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// loop calls one target over and over, says at once when the outcome changes,
// and now and then what the outcomes were since it last said so.
type loop struct {
	target target
	calls  *caller
	log    *slog.Logger

	last     string
	statuses map[string]int
	pods     map[string]int
}

func newLoop(t target, calls *caller, log *slog.Logger) *loop {
	l := &loop{target: t, calls: calls, log: log.With("call", t.String())}
	l.forget()
	return l
}

// run calls until the context ends.
func (l *loop) run(ctx context.Context, every, report time.Duration) {
	call, sum := time.NewTicker(every), time.NewTicker(report)
	defer call.Stop()
	defer sum.Stop()
	for {
		select {
		case <-ctx.Done():
			l.sumUp()
			return
		case <-sum.C:
			l.sumUp()
		case <-call.C:
			got := l.calls.call(ctx, callRequest{target: l.target, body: firstBytes(l.target.url), count: 1})
			if ctx.Err() == nil {
				l.count(got)
			}
		}
	}
}

// count adds an outcome, and tells it where it is not that of the call before.
func (l *loop) count(got *callReport) {
	for status, n := range got.Statuses {
		l.statuses[status] += n
		if status == l.last {
			continue
		}
		l.last = status
		if len(got.Errors) > 0 {
			l.log.Warn("no answer", "error", tally(got.Errors))
			continue
		}
		l.log.Info("answered", "status", status, "by", tally(got.Pods))
	}
	for pod, n := range got.Pods {
		l.pods[pod] += n
	}
}

func (l *loop) sumUp() {
	if len(l.statuses) > 0 {
		l.log.Info("summary", "statuses", tally(l.statuses), "pods", tally(l.pods))
	}
	l.forget()
}

func (l *loop) forget() {
	l.statuses, l.pods = map[string]int{}, map[string]int{}
}

// tally writes counts in the order of their names.
func tally(counts map[string]int) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s:%d", key, counts[key]))
	}
	return strings.Join(parts, " ")
}
