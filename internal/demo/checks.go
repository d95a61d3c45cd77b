//go:build linux

package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// checks prints what is expected and what was observed, and counts.
type checks struct {
	out    io.Writer
	paint  func(good bool, text string) string
	total  int
	passed int
}

// step begins a part of the story.
func (c *checks) step(format string, args ...any) {
	fmt.Fprintf(c.out, "\n%s\n", fmt.Sprintf(format, args...))
}

// check compares what was expected with what was observed.
func (c *checks) check(held bool, expected, observed string) {
	c.total++
	mark := c.paint(false, "failed")
	if held {
		c.passed++
		mark = c.paint(true, "ok")
	}
	fmt.Fprintf(c.out, "  %s\n      expected: %s\n      observed: %s\n", mark, expected, observed)
}

// eventually asks until the answer is as expected, at most for a while, since
// what was written to a file takes a moment to arrive everywhere.
func eventually(ctx context.Context, within time.Duration, ask func() bool) (time.Duration, bool) {
	started := time.Now()
	for {
		if ask() {
			return time.Since(started), true
		}
		if time.Since(started) > within {
			return time.Since(started), false
		}
		select {
		case <-ctx.Done():
			return time.Since(started), false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// counts renders counted things in order, such as "90 x bookstore-v1".
func counts(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d x %s", m[k], k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// tolerance is how far the observed number of n draws with probability p may be
// from n*p, so that a right share fails once in a million runs: 4.9 standard
// deviations, and one for the rounding.
func tolerance(n int, p float64) float64 {
	return 4.9*math.Sqrt(float64(n)*p*(1-p)) + 1
}
