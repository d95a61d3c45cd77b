package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/mesh"
)

func testApp(env map[string]string) (app *App, out, errs *bytes.Buffer) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return &App{In: strings.NewReader(""), Out: out, Err: errs, Getenv: func(name string) string { return env[name] }}, out, errs
}

// commandsOf are a command and all below it.
func commandsOf(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, commandsOf(sub)...)
	}
	return all
}

func TestEveryCommandExplainsItself(t *testing.T) {
	app, _, _ := testApp(nil)
	for _, c := range commandsOf(newRoot(app)) {
		if c.Example == "" || c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: a command has an example and a short description that is no sentence", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Long+"\n"+c.Example, "\n") {
			// Help is read in terminals of 80 columns; commands to copy stay whole.
			if len(line) > 80 && !strings.HasPrefix(strings.TrimSpace(line), "smi ") {
				t.Errorf("%s: the line is too long: %s", c.CommandPath(), line)
			}
		}
		if c.Name() != "version" && !strings.Contains(c.Long, "Exit codes") {
			t.Errorf("%s: the exit codes are not documented", c.CommandPath())
		}
	}
}

// Examples must at least be understood by the command that they show.
func TestExamplesAreUnderstood(t *testing.T) {
	app, _, _ := testApp(nil)
	for _, c := range commandsOf(newRoot(app)) {
		if !c.HasParent() {
			continue // its examples are those of others
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			_, args, found := strings.Cut(line, c.CommandPath()+" ")
			if !found || strings.Contains(line, "<(") {
				continue
			}
			if err := c.ParseFlags(strings.Fields(args)); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestRunTurnsErrorsIntoExitCodes(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, ExitOK, ""},
		{ErrNo, ExitNo, ""},
		{errors.New("a file is broken"), ExitUsage, "error: a file is broken\n"},
		{UsageErrorf("--x is missing"), ExitUsage, "error: --x is missing\nSee 'smi extra --help'.\n"},
		{errors.New("\x1b[2J"), ExitUsage, "error: \\x1b[2J\n"},
	} {
		app, _, errs := testApp(nil)
		extra := func(*App) *cobra.Command {
			return &cobra.Command{Use: "extra", RunE: func(*cobra.Command, []string) error { return c.err }}
		}
		if code := Run(context.Background(), app, []string{"extra"}, extra); code != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, code, c.code)
		}
		if errs.String() != c.stderr {
			t.Errorf("%v: printed %q, want %q", c.err, errs, c.stderr)
		}
	}
}

func TestColoursAreWantedUnlessTheEnvironmentObjects(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"TERM": "xterm", "WT_SESSION": "1"}, true},
		{map[string]string{"TERM": "xterm", "WT_SESSION": "1", "NO_COLOR": "1"}, false},
		{map[string]string{"TERM": "xterm", "WT_SESSION": "1", "NO_COLOR": ""}, true},
		{map[string]string{"TERM": "dumb", "WT_SESSION": "1"}, false},
	} {
		app, _, _ := testApp(c.env)
		if got := app.wantsColour(); got != c.want {
			t.Errorf("%v: colours wanted: %t, want %t", c.env, got, c.want)
		}
		if text := app.paint(red, "x"); text != "x" {
			t.Errorf("%v: what is no terminal got %q", c.env, text)
		}
	}
}

func TestTableAlignsWhatUsersWrote(t *testing.T) {
	app, _, _ := testApp(nil)
	rows := table{{{text: "A"}, {text: "B"}}, {{text: "größer"}, {text: "x\ny"}}, {{text: "a", colour: red}, {text: "b"}}}
	want := "> A       B\n> größer  x\\ny\n> a       b\n"
	if got := rows.render(app, "> "); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0%", 1: "100%", 0.5: "50%", 2.0 / 3: "66.7%", 0.00001: "0.001%", 0.99999: "99.999%", 0.125: "12.5%", 0.1: "10%"} {
		if got := percent(share); got != want {
			t.Errorf("percent(%v) = %s, want %s", share, got, want)
		}
	}
}

func TestRelevantFindings(t *testing.T) {
	finding := func(kind, name string) mesh.Finding {
		return mesh.Finding{Object: mesh.ObjectRef{Kind: kind, Namespace: "shop", Name: name}, Severity: mesh.Warning}
	}
	all := []mesh.Finding{
		finding("Service", "root"), finding("Service", "v1"), finding("Service", "unrelated"), finding("TrafficSplit", "canary"),
		finding("TrafficTarget", "grants"), finding("TrafficTarget", "other"), finding("Pod", "v1-0"), finding("Pod", "unrelated-0"),
	}
	q := explain.Question{To: mesh.Name{Namespace: "shop", Name: "root"}}
	answer := func(allowed bool) *explain.Answer {
		return &explain.Answer{
			Allowed: allowed, AppliedSplit: "shop/canary", Split: []explain.Share{{Service: "v1"}}, Findings: all,
			Destinations: []explain.Destination{{Namespace: "shop", Pods: []string{"shop/v1-0"}, Grants: []explain.GrantRef{{TrafficTarget: "shop/grants"}}}},
		}
	}
	names := func(findings []mesh.Finding) string {
		var b strings.Builder
		for _, f := range findings {
			b.WriteString(f.Object.Name + " ")
		}
		return b.String()
	}
	if got, want := names(relevant(q, answer(true))), "root v1 canary grants v1-0 "; got != want {
		t.Errorf("allowed: got %s, want %s", got, want)
	}
	if got, want := names(relevant(q, answer(false))), "root v1 canary grants other v1-0 "; got != want {
		t.Errorf("denied: got %s, want %s", got, want)
	}
}
