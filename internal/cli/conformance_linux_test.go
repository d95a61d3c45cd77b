package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
)

func foundReport() *report.Report {
	return &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Mesh: report.Mesh{Name: "SMI", Version: "1"}, Platform: "standalone",
		Suite: report.Suite{Version: "0.1.0", Digest: "d", Cases: 1}, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Results: []report.Result{{ID: "AC-1-x", Title: "It holds", Outcome: report.Passed, Evidence: []report.Evidence{{What: "GET /", Wanted: "an answer", Held: true}}}}, Summary: report.Summary{Passed: 1},
	}
}

func TestReportsAreWrittenInEveryForm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	key, err := provenance.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeReports(dir, foundReport(), "the tests", []*provenance.PrivateKey{key}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := provenance.Verify(read("report.dsse.json"), read("report.json"), key.Public); err != nil {
		t.Errorf("the envelope: %v", err)
	}
	if _, err := report.Parse(read("report.yaml")); err != nil {
		t.Errorf("report.yaml: %v", err)
	}
	for name, want := range map[string]string{"junit.xml": "<testsuites", "index.html": "<!doctype html>"} {
		if !strings.Contains(string(read(name)), want) {
			t.Errorf("%s has no %s", name, want)
		}
	}

	// The envelope of the run before would not fit the report of this one.
	if err := writeReports(dir, foundReport(), "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.dsse.json")); !os.IsNotExist(err) {
		t.Errorf("the envelope of an earlier report is there: %v", err)
	}
}

// A minute of work is not lost because the mesh does not end well.
func TestReportIsWrittenWhateverTheEnd(t *testing.T) {
	crash := errors.New("a proxy does not end")
	failed := foundReport()
	failed.Results[0].Outcome, failed.Results[0].Reason, failed.Summary = report.Failed, "it does not", report.Summary{Failed: 1}
	for name, c := range map[string]struct {
		ran
		want error
	}{
		"well":                {ran{foundReport(), nil}, nil},
		"badly":               {ran{foundReport(), crash}, crash},
		"with a failure":      {ran{failed, nil}, ErrNo},
		"badly, with failure": {ran{failed, crash}, crash},
	} {
		app, out, _ := testApp(nil)
		dir := t.TempDir()
		err := app.afterRun(&conformanceRunFlags{report: dir, format: formatTable}, app.Out, c.ran, nil)
		if !errors.Is(err, c.want) || errors.Is(c.want, crash) && errors.Is(err, ErrNo) {
			t.Errorf("it ends %s: got %v, want %v", name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "report.json")); err != nil || !strings.Contains(out.String(), "1 case, ") {
			t.Errorf("it ends %s: %v, and says %s", name, err, out)
		}
	}
	app, _, _ := testApp(nil)
	if err := app.afterRun(&conformanceRunFlags{report: t.TempDir()}, app.Out, ran{nil, crash}, nil); !errors.Is(err, crash) {
		t.Errorf("without a report: %v", err)
	}
}

func TestProgressTellsEachCase(t *testing.T) {
	app, out, _ := testApp(nil)
	p := &progress{app: app, to: app.Out, of: 12}
	p.ended(report.Result{ID: "AC-1-x", Title: "It holds", Outcome: report.Passed, Duration: 0.25})
	p.ended(report.Result{ID: "AC-2-x", Title: "It does not", Outcome: report.Failed, Reason: "one\n\x1b[2Jtwo", Duration: 61})
	p.ended(report.Result{ID: "AC-3-x", Title: "Not here", Outcome: report.NotClaimed, Reason: "the mesh does not claim grpc"})
	want := ` 1/12  passed       AC-1-x: It holds (250 ms)
 2/12  FAILED       AC-2-x: It does not (1 min 1 s)
      one
      \x1b[2Jtwo
 3/12  not claimed  AC-3-x: Not here (the mesh does not claim grpc)
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProgressIsColouredOnATerminalOnly(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	app, _, errs := testApp(map[string]string{"TERM": "xterm"})
	app.Out = terminal
	(&progress{app: app, to: app.Err, of: 1}).ended(report.Result{ID: "AC-1-x", Outcome: report.Passed})
	if strings.Contains(errs.String(), "\x1b") {
		t.Errorf("what is no terminal got %q", errs)
	}
}
