package matrix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
)

// run is a report with one case per outcome.
func run(t *testing.T, mesh, version string, day int, outcomes ...report.Outcome) *report.Report {
	t.Helper()
	r := &report.Report{
		APIVersion: report.APIVersion, Kind: report.Kind, Mesh: report.Mesh{Name: mesh, Version: version}, Platform: "Kubernetes",
		Suite: report.Suite{Version: "0.1.0", Cases: len(outcomes)}, Started: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC),
		Features: []report.Feature{{Name: "split-http", Title: "Splits", Capability: report.Full}, {Name: "access-udp", Title: "UDP", Capability: report.None}},
	}
	for i, o := range outcomes {
		r.Results = append(r.Results, report.Result{ID: fmt.Sprint("case-", i), Features: []string{"split-http"}, Outcome: o})
		r.Summary.Add(o)
		r.Features[0].Add(o)
	}
	return r
}

func put(t *testing.T, folder fstest.MapFS, path string, r *report.Report, keys ...*provenance.PrivateKey) {
	t.Helper()
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	folder[path] = &fstest.MapFile{Data: text}
	if len(keys) == 0 {
		return
	}
	envelope, err := provenance.Sign("report.json", text, "the <tests>", keys...)
	if err != nil {
		t.Fatal(err)
	}
	folder[provenance.EnvelopeOf(path)] = &fstest.MapFile{Data: envelope}
}

func key(t *testing.T) *provenance.PrivateKey {
	t.Helper()
	k, err := provenance.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOnlyVerifiedWholeRunsCount(t *testing.T) {
	ours, theirs, folder := key(t), key(t), fstest.MapFS{}
	passed, failed := report.Passed, report.Failed
	put(t, folder, "a/1/report.json", run(t, "Alpha", "1.0", 1, failed, failed), ours)
	put(t, folder, "a/3/report.json", run(t, "Alpha", "1.0", 3, passed, failed), ours, theirs)
	put(t, folder, "a/2/report.json", run(t, "Alpha", "1.0", 2, passed), ours)
	put(t, folder, "copy/report.json", run(t, "Alpha", "1.0", 2, passed), ours)
	put(t, folder, "a/next.json", run(t, "Alpha", "1.1", 2, passed, passed), ours)
	put(t, folder, "beta.json", run(t, "Beta|<b>", "2", 1, passed), ours)
	put(t, folder, "unsigned.json", run(t, "Gamma", "1", 9, passed))
	put(t, folder, "stranger.json", run(t, "Gamma", "1", 9, passed), theirs)
	tampered := run(t, "Gamma", "2", 9, passed)
	put(t, folder, "tampered.json", tampered, ours)
	tampered.Mesh.Version = "3"
	put(t, folder, "tampered.json", tampered)
	part := run(t, "Gamma", "4", 9, passed)
	part.Suite.Cases = 5
	put(t, folder, "part.json", part, ours)
	folder["lonely.dsse.json"] = &fstest.MapFile{Data: []byte("{}")}
	folder["matrix.json"] = &fstest.MapFile{Data: []byte(`{"kind": "ConformanceMatrix"}`)}
	folder["readme.md"] = &fstest.MapFile{Data: []byte("hello")}

	m, err := Build(folder, ours.Public)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, mesh := range m.Meshes {
		columns = append(columns, fmt.Sprintf("%s %s %d +%d %s", mesh.Mesh.Name, mesh.Mesh.Version, mesh.Started.Day(), len(mesh.History), mesh.Features["split-http"].Words()))
	}
	if got, want := strings.Join(columns, "; "), "Alpha 1.0 3 +2 full, 1 passed, 1 failed; Alpha 1.1 2 +0 full, 2 passed; Beta|<b> 2 1 +0 full, 1 passed"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if h := m.Meshes[0].History; len(h) == 2 && (h[0].Started.Day() != 2 || h[1].Started.Day() != 1) {
		t.Errorf("the history is not newest first: %v", h)
	}
	reasons := map[string]string{}
	for _, l := range m.LeftOut {
		reasons[l.File] = l.Reason
	}
	for file, want := range map[string]string{
		"unsigned.json": "it is not signed", "stranger.json": "none of the 1 given keys", "tampered.json": "changed after signing",
		"part.json": "only 1 of the suite's 5 cases", "lonely.dsse.json": "its report lonely.json is not there",
	} {
		if !strings.Contains(reasons[file], want) {
			t.Errorf("%s is left out because of %q, want %q", file, reasons[file], want)
		}
	}
	if len(reasons) != 5 {
		t.Errorf("left out: %v", reasons)
	}
	rendered(t, m)
}

// rendered sees that each form tells the matrix, and that no name becomes more.
func rendered(t *testing.T, m *Matrix) {
	t.Helper()
	text, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Matrix
	if err := json.Unmarshal(text, &back); err != nil || len(back.Meshes) != 3 || len(back.Meshes[0].History) != 2 {
		t.Errorf("as JSON: %v, %d meshes", err, len(back.Meshes))
	}
	markdown := m.Markdown()
	for _, want := range []string{"|  | Alpha 1.0 | Alpha 1.1 | Beta\\|&lt;b> 2 |\n| --- | --- | --- | --- |\n", "| Splits | **full, 1 passed, 1 failed** | full, 2 passed |", "| UDP | none | none | none |", "- part.json: only 1"} {
		if !strings.Contains(markdown, want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, markdown)
		}
	}
	html, err := m.HTML("../reports")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<a href="../reports/a/3/report.json">Alpha</a>`, `pill failing">full`, "Beta|&lt;b&gt;", "2 earlier runs", "the &lt;tests&gt;", "changed after signing"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(html), "<b>") || strings.Contains(string(html), "<tests>") {
		t.Error("the page has markup of a report")
	}
}

func TestBuildNeedsAKeyAndAFolder(t *testing.T) {
	if _, err := Build(fstest.MapFS{}); err == nil {
		t.Error("no key was needed")
	}
	m, err := Build(fstest.MapFS{}, key(t).Public)
	if err != nil || !strings.Contains(m.Markdown(), "no verified report") {
		t.Errorf("an empty folder: %v, %v", m, err)
	}
}
