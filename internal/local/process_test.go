//go:build linux

package local

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shell runs a script as a process until the test is over, and returns what is
// told of it, a word per event, and a function that stops it.
func shell(t *testing.T, script string, change ...func(*process)) (told *output, stop func()) {
	t.Helper()
	told = &output{}
	p := &process{
		command: []string{"/bin/sh", "-c", script}, env: []string{"PATH=" + os.Getenv("PATH"), "A=1"},
		grace: bound, backoff: time.Millisecond, restart: func(bool) bool { return true },
		line: func(text string) { told.add("line", text) },
		event: func(e processEvent) {
			switch {
			case e.running:
				told.add("event", "runs")
			case e.final:
				told.add("event", fmt.Sprintf("final %v", e.err))
			default:
				told.add("event", fmt.Sprintf("ended %v, again in %s", e.err, e.restartIn))
			}
		},
	}
	for _, c := range change {
		c(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return told, stop
}

func (o *output) waitFor(t *testing.T, words string) {
	t.Helper()
	until(t, words, func() (bool, string) { return o.count(words) > 0, o.text() })
}

func TestProcessRestartsWithGrowingPauses(t *testing.T) {
	told, stop := shell(t, "echo A is $A; echo to stderr >&2; exit 3")
	told.waitFor(t, "event: ended exited with status 3, again in 4ms")
	stop()
	want := "event: runs\nline: A is 1\nline: to stderr\nevent: ended exited with status 3, again in 1ms\nevent: runs\n"
	if !strings.HasPrefix(told.text(), want) {
		t.Errorf("told:\n%s\nwant it to begin with:\n%s", told.text(), want)
	}
	if told.count("again in 2ms") != 1 {
		t.Errorf("the pauses do not double:\n%s", told.text())
	}
}

func TestProcessThatIsNotRestarted(t *testing.T) {
	for script, want := range map[string]string{"exit 0": "final <nil>", "exit 1": "final exited with status 1", "kill -ABRT $$": `final was ended by signal "aborted"`} {
		told, _ := shell(t, script, func(p *process) { p.restart = func(bool) bool { return false } })
		told.waitFor(t, want)
	}
	told, _ := shell(t, "", func(p *process) {
		p.command, p.restart = []string{"/no/such/program"}, func(bool) bool { return false }
	})
	told.waitFor(t, "final cannot be started")
}

func TestProcessIsAskedToEnd(t *testing.T) {
	told, stop := shell(t, "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	told.waitFor(t, "ready")
	stop()
	if told.count("goodbye") != 1 || told.count("ended") > 0 {
		t.Errorf("told:\n%s", told.text())
	}
}

func TestProcessThatDoesNotEndIsKilled(t *testing.T) {
	told, stop := shell(t, "trap '' TERM; echo $$; while :; do sleep 0.01; done", func(p *process) { p.grace = 10 * time.Millisecond })
	pid := told.pid(t)
	stop()
	if alive(pid) {
		t.Error("it lives")
	}
}

// What a process leaves behind ends with it, and keeps nobody from noticing that
// it has ended.
func TestChildrenEndWithTheirProcess(t *testing.T) {
	for name, script := range map[string]string{
		"of one that is stopped":      "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done' & wait",
		"of one that ends":            "sleep 1000 & echo $!; exit 1",
		"of one that ends, elsewhere": "setsid sleep 3 & echo $$; exit 1", // holds the pipe, in a group of its own
	} {
		t.Run(name, func(t *testing.T) {
			told, stop := shell(t, script, func(p *process) { p.backoff = bound })
			pid := told.pid(t)
			if strings.Contains(script, "exit 1") {
				told.waitFor(t, "ended exited with status 1")
			}
			stop()
			until(t, "the child is gone", func() (bool, string) { return !alive(pid), strconv.Itoa(pid) })
		})
	}
}

// pid is the number that the process has printed.
func (o *output) pid(t *testing.T) int {
	t.Helper()
	pid := 0
	until(t, "a number is printed", func() (bool, string) {
		for _, line := range strings.Split(o.text(), "\n") {
			if n, err := strconv.Atoi(strings.TrimPrefix(line, "line: ")); err == nil {
				pid = n
			}
		}
		return pid != 0, o.text()
	})
	return pid
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestLongLines(t *testing.T) {
	var got []int
	readLines(strings.NewReader(strings.Repeat("x", 2*maxLine+5)+"\n\nlast"), func(s string) { got = append(got, len(s)) })
	if fmt.Sprint(got) != fmt.Sprint([]int{maxLine, maxLine, 5, 0, 4}) {
		t.Errorf("the lines have %v bytes", got)
	}
}
