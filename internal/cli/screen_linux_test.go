package cli

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/smi-project/smi/internal/local"
)

func exampleStatus() *local.Status {
	denial := func(to string, n uint64) local.DenialCount {
		return local.DenialCount{Denial: local.Denial{Source: "shop/thief", Destination: to}, Count: n}
	}
	return &local.Status{
		Pods: []local.PodStatus{
			{Namespace: "bank", Name: "ledger-0", ServiceAccount: "ledger", State: local.Running, Ready: true, Proxy: local.InSync, Restarts: 2},
			{Namespace: "shop", Name: "web-0", ServiceAccount: "web", State: local.Failing, Reason: "container app exited with status 1\x1b[2J", Proxy: "Listener inbound-80 refused: cannot bind"},
		},
		Splits: []local.SplitStatus{{Namespace: "bank", Name: "canary", Service: "ledger", Port: 80, Backends: []local.BackendStatus{
			{Service: "ledger-v1", Weight: 9, Wanted: 0.9, Requests: 7, Observed: 0.875}, {Service: "ledger-v2", Weight: 1, Wanted: 0.1, Requests: 1, Observed: 0.125},
		}}, {Namespace: "bank", Name: "beta", Service: "ledger", Port: 80, Matches: true, Backends: []local.BackendStatus{{Service: "ledger-v2", Weight: 1, Wanted: 1}}}},
		Denials: []local.DenialCount{denial("a", 6), denial("b", 5), denial("c", 4), denial("d", 3), denial("e", 2), denial("f", 1)},
	}
}

func TestStatusTable(t *testing.T) {
	const want = `
POD            READY  PROXY    RESTARTS  ACCOUNT  STATE
bank/ledger-0  yes    in sync  2         ledger   running
shop/web-0     no     refuses  0         web      failing: container app exited with status 1\x1b[2J; the proxy: Listener inbound-80 refused: cannot bind

SPLIT        BACKEND    WEIGHT  WANTED  OBSERVED  REQUESTS  ROOT
bank/canary  ledger-v1  9       90.0%   87.5%     7         ledger:80
bank/canary  ledger-v2  1       10.0%   12.5%     1         ledger:80
bank/beta    ledger-v2  1       100.0%  -         0         ledger:80 (what matches)

DENIED      TO  TIMES
shop/thief  a   6
shop/thief  b   5
shop/thief  c   4
shop/thief  d   3
shop/thief  e   2
... and 1 more pairs
`
	if got := statusTable(exampleStatus(), 200); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := statusTable(exampleStatus(), 80); strings.Contains(got, "ACCOUNT") {
		t.Errorf("a narrow table has all columns:\n%s", got)
	}
}

// terminal is a screen on a terminal of a size that can change.
func terminal(width, height *int) (*screen, *bytes.Buffer) {
	out := &bytes.Buffer{}
	app := &App{Out: out, Getenv: func(string) string { return "" }}
	return &screen{app: app, live: true, size: func() (int, int) { return *width, *height }}, out
}

func TestScreen(t *testing.T) {
	width, height := 60, 40
	s, out := terminal(&width, &height)
	s.update(exampleStatus())
	first := out.String()
	rows := strings.Count(first, "\n")
	for line := range strings.Lines(first) {
		if len(line) > width {
			t.Errorf("a line of %d characters on a terminal of %d: %s", len(line), width, line)
		}
	}
	out.Reset()
	s.update(exampleStatus())
	if out.Len() != 0 {
		t.Errorf("what did not change is drawn again: %q", out)
	}
	s.line("shop/web-0", "hello")
	if got, want := out.String(), "\r\x1b["+strconv.Itoa(rows)+"A\x1b[J[shop/web-0] hello\n"+first; got != want {
		t.Errorf("a line above the table:\n%q\nwant\n%q", got, want)
	}
	// Half as wide, a line of more than 30 characters has become two.
	broken := 0
	for line := range strings.Lines(first) {
		if len(line)-1 > 30 {
			broken++
		}
	}
	width = 30
	out.Reset()
	s.update(exampleStatus())
	if want := "\r\x1b[" + strconv.Itoa(rows+broken) + "A\x1b[J"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("after the terminal became narrower: %q, want %q...", out, want)
	}
	height = 10
	out.Reset()
	s.update(exampleStatus())
	if got := strings.Count(out.String(), "\n"); got != 6 || !strings.Contains(out.String(), "more lines\n") {
		t.Errorf("%d lines on a terminal of %d:\n%s", got, height, out)
	}
	out.Reset()
	s.update(nil)
	if want := "\r\x1b[6A\x1b[J"; out.String() != want {
		t.Errorf("at the end: %q, want %q", out, want)
	}
}

// Where there is no terminal there are lines, each once.
func TestScreenOfAPipe(t *testing.T) {
	out := &bytes.Buffer{}
	s := newScreen(&App{Out: out, Getenv: func(string) string { return "" }}, false)
	status := exampleStatus()
	for range 3 {
		s.summarise(status)
	}
	status.Settled = true
	s.summarise(status)
	s.line("shop/web-0", "a\x1bb")
	const want = "[smi] 1 of 2 pods ready\n[smi] 1 of 2 pods ready, every proxy in sync\n[shop/web-0] a\\x1bb\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestLogRecordsAreLinesOfTheirPod(t *testing.T) {
	var got []string
	log := slog.New(&lineHandler{source: "smi", level: slog.LevelWarn, line: func(source, text string) { got = append(got, source+": "+text) }})
	log.Info("nobody wants to know")
	log.Warn("out of paper", "tray", 2)
	log.With(local.PodKey, "shop/web-0", "process", "envoy").WithGroup("g").ErrorContext(context.Background(), "ended", "after", "5s")
	want := "smi: warning: out of paper tray=2\nshop/web-0: error: ended process=envoy g.after=5s"
	if strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}
