package matrix

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		Suite: report.Suite{Version: "0.1.0", Digest: "0123456789abcdef", Cases: 2}, Started: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC),
		Features: []report.Feature{{Name: "split-http", Title: "Splits", Capability: report.Full}, {Name: "access-udp", Title: "UDP", Capability: report.None}},
	}
	for i, o := range outcomes {
		result := report.Result{ID: fmt.Sprint("case-", i), Features: []string{"split-http"}, Outcome: o, Reason: "a reason"}
		if o == report.Passed {
			result.Reason, result.Evidence = "", []report.Evidence{{What: "GET /", Wanted: "an answer", Held: true}}
		}
		r.Results = append(r.Results, result)
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

// The outcomes, and what the tests' reader has.
const passed, failed = report.Passed, report.Failed

var today = time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)

func rules(keys ...*provenance.PrivateKey) *Rules {
	r := &Rules{Now: today, Suite: report.Suite{Version: "0.1.0", Digest: "0123456789abcdef", Cases: 2}}
	for _, k := range keys {
		r.Keys = append(r.Keys, Key{Public: k.Public})
	}
	return r
}

// wantLeftOut wants exactly these files to be left out, for these reasons.
func wantLeftOut(t *testing.T, m *Matrix, want map[string]string) {
	t.Helper()
	reasons := map[string]string{}
	for _, l := range m.LeftOut {
		reasons[l.File] = l.Reason
	}
	for file, reason := range want {
		if !strings.Contains(reasons[file], reason) {
			t.Errorf("%s is left out because of %q, want %q", file, reasons[file], reason)
		}
	}
	if len(reasons) != len(want) {
		t.Errorf("left out: %v", reasons)
	}
}

func build(t *testing.T, folder fs.FS, r *Rules) *Matrix {
	t.Helper()
	m, err := Build(folder, r)
	if err != nil {
		t.Fatal(err)
	}
	return m
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
	put(t, folder, "a/1/report.json", run(t, "Alpha", "1.0", 1, failed, failed), ours)
	put(t, folder, "a/3/report.json", run(t, "Alpha", "1.0", 3, passed, failed), ours, theirs)
	put(t, folder, "a/2/report.json", run(t, "Alpha", "1.0", 2, passed, passed), ours)
	put(t, folder, "copy/report.json", run(t, "Alpha", "1.0", 2, passed, passed), ours)
	put(t, folder, "a/next #1?%.json", run(t, "Alpha", "1.1", 2, passed, passed), ours)
	put(t, folder, "beta.json", run(t, "Beta|<b>", "2", 1, passed, report.NotClaimed), ours)
	put(t, folder, "unsigned.json", run(t, "Gamma", "1", 9, passed, passed))
	put(t, folder, "stranger.json", run(t, "Gamma", "1", 9, passed, passed), theirs)
	tampered := run(t, "Gamma", "2", 9, passed, passed)
	put(t, folder, "tampered.json", tampered, ours)
	tampered.Mesh.Version = "3"
	put(t, folder, "tampered.json", tampered)
	put(t, folder, "part.json", run(t, "Gamma", "4", 9, passed), ours)
	other := run(t, "Gamma", "5", 9, passed, passed)
	other.Suite.Digest = "fedcba9876543210"
	put(t, folder, "other.json", other, ours)
	small := run(t, "Gamma", "6", 9, passed)
	small.Suite.Cases = 1
	put(t, folder, "small.json", small, ours)
	put(t, folder, "tomorrow.json", run(t, "Gamma", "7", 11, passed, passed), ours)
	folder["lonely.dsse.json"] = &fstest.MapFile{Data: []byte("{}")}
	folder["matrix.json"] = &fstest.MapFile{Data: []byte(`{"kind": "ConformanceMatrix"}`)}
	folder["readme.md"] = &fstest.MapFile{Data: []byte("hello")}

	m, err := Build(folder, rules(ours))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, mesh := range m.Meshes {
		columns = append(columns, fmt.Sprintf("%s %s %d +%d %s", mesh.Mesh.Name, mesh.Mesh.Version, mesh.Started.Day(), len(mesh.History), mesh.Features["split-http"].Words()))
	}
	if got, want := strings.Join(columns, "; "), "Alpha 1.0 3 +2 full, 1 passed, 1 failed; Alpha 1.1 2 +0 full, 2 passed; Beta|<b> 2 1 +0 full, 1 of 2 passed, 1 not claimed"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if h := m.Meshes[0].History; len(h) == 2 && (h[0].Started.Day() != 2 || h[1].Started.Day() != 1) {
		t.Errorf("the history is not newest first: %v", h)
	}
	wantLeftOut(t, m, map[string]string{
		"unsigned.json": "it is not signed", "stranger.json": "none of the 1 given keys", "tampered.json": "changed after signing",
		"part.json": "only 1 of the suite's 2 cases", "lonely.dsse.json": "its report lonely.json is not there",
		"other.json": `suite 0.1.0 (digest "fedcba987654", cases: 2)`, "small.json": "held against 0.1.0 (digest \"0123456789ab\", cases: 2)",
		"tomorrow.json": "yet to come",
	})
	if strings.Join(m.PassedOver, " ") != "matrix.json" {
		t.Errorf("passed over: %v", m.PassedOver)
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
	for _, want := range []string{"|  | Alpha 1.0 | Alpha 1.1 | Beta\\|&lt;b&gt; 2 |\n| --- | --- | --- | --- |\n", "| Splits | **full, 1 passed, 1 failed** | full, 2 passed | full, 1 of 2 passed, 1 not claimed |",
		"| UDP | none | none | none |", "- part.json: only 1", "| Earlier runs | 2, **cases failed in 1** | 0 | 0 |", "0.1.0, digest 0123456789ab |", "\n- matrix.json\n"} {
		if !strings.Contains(markdown, want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, markdown)
		}
	}
	html, err := m.HTML("../reports")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<a href="../reports/a/3/report.json">Alpha</a>`, `pill failing">full`, "Beta|&lt;b&gt;", "2 earlier runs", "cases failed in 1 of them", "1 of 2 passed", `href="../reports/a/next%20%231%3F%25.json"`, "digest 0123456789ab<", ">matrix.json<", "the &lt;tests&gt;", "changed after signing"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(html), "<b>") || strings.Contains(string(html), "<tests>") {
		t.Error("the page has markup of a report")
	}
}

// A key speaks for the meshes that the reader lets it speak for.
func TestKeysOfMeshes(t *testing.T) {
	alpha, beta, folder := key(t), key(t), fstest.MapFS{}
	put(t, folder, "alpha.json", run(t, "Alpha", "1", 1, passed, failed), alpha)
	put(t, folder, "both.json", run(t, "Alpha", "2", 1, passed, failed), alpha, beta)
	put(t, folder, "pretended.json", run(t, "Alpha", "1", 2, passed, passed), beta)
	put(t, folder, "beta.json", run(t, "Beta", "1", 1, passed, passed), beta)
	m := build(t, folder, &Rules{Now: today, Suite: rules().Suite, Keys: []Key{{alpha.Public, "Alpha"}, {beta.Public, "Beta"}, {beta.Public, "Gamma"}}})
	wantLeftOut(t, m, map[string]string{"pretended.json": fmt.Sprintf(`it is of "Alpha", for which the key %.8s may not speak`, beta.Public.ID)})
	if len(m.Meshes) != 3 {
		t.Errorf("got %d columns, want those of alpha.json, both.json and beta.json", len(m.Meshes))
	}
	for _, mesh := range m.Meshes {
		if mesh.File == "both.json" && (len(mesh.Signers) != 1 || mesh.Signers[0] != alpha.Public.ID) {
			t.Errorf("both.json is said to be signed by %v, of whom Alpha's alone counts", mesh.Signers)
		}
	}
}

// Nobody's run takes the place of another's, or of one elsewhere.
func TestColumns(t *testing.T) {
	alpha, other, folder := key(t), key(t), fstest.MapFS{}
	put(t, folder, "1.json", run(t, "Alpha", "1", 1, passed, failed), alpha)
	put(t, folder, "2.json", run(t, "Alpha", "1", 2, passed, passed), other)
	elsewhere := run(t, "Alpha", "1", 3, passed, passed)
	elsewhere.Platform = "another"
	put(t, folder, "3.json", elsewhere, alpha)
	put(t, folder, "4.json", run(t, "Alpha", "1", 4, passed, passed), alpha)
	// The same file with somebody else's signature is somebody else's report.
	folder["0.json"] = folder["1.json"]
	put(t, folder, "0.json", run(t, "Alpha", "1", 1, passed, failed), other)

	m := build(t, folder, rules(alpha, other))
	var got []string
	for _, mesh := range m.Meshes {
		files := mesh.File
		for _, h := range mesh.History {
			files += "<" + h.File
		}
		got = append(got, fmt.Sprint(files, " ", mesh.FailedBefore()))
	}
	if want := "4.json<1.json 1; 3.json 0; 2.json<0.json 1"; strings.Join(got, "; ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	wantLeftOut(t, m, nil)
}

func TestOtherSuitesAreMarked(t *testing.T) {
	ours, folder := key(t), fstest.MapFS{}
	other := run(t, "Alpha", "1", 1, passed)
	other.Suite = report.Suite{Version: "9", Digest: "ff", Cases: 1}
	put(t, folder, "other.json", other, ours)
	put(t, folder, "ours.json", run(t, "Alpha", "2", 1, passed, passed), ours)
	r := rules(ours)
	r.OtherSuites = true
	m := build(t, folder, r)
	if len(m.Meshes) != 2 || m.Meshes[0].OtherSuite == m.Meshes[1].OtherSuite || m.Meshes[0].OtherSuite != (m.Meshes[0].File == "other.json") {
		t.Fatalf("the columns are %+v", m.Meshes)
	}
	html, err := m.HTML(".")
	if err != nil || strings.Count(string(html), "another suite") != 1 || strings.Count(m.Markdown(), "another suite") != 1 {
		t.Errorf("it is not said once which is of another suite: %v", err)
	}
}

func TestCellsSayWhatWasNotRun(t *testing.T) {
	for want, c := range map[string]Cell{
		"none":                                  {report.None, report.Summary{NotClaimed: 4}},
		"full, 4 passed":                        {report.Full, report.Summary{Passed: 4}},
		"full, 2 failed":                        {report.Full, report.Summary{Failed: 2}},
		"full, not tested":                      {report.Full, report.Summary{}},
		"partial, 0 of 4 tested":                {report.Partial, report.Summary{NotClaimed: 4}},
		"full, 3 passed, 1 failed":              {report.Full, report.Summary{Passed: 3, Failed: 1}},
		"partial, 1 of 4 passed, 3 not claimed": {report.Partial, report.Summary{Passed: 1, NotClaimed: 3}},
		"partial, 0 of 4 passed, 1 failed, 3 not claimed": {report.Partial, report.Summary{Failed: 1, NotClaimed: 3}},
	} {
		if got := c.Words(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A name in a report is nothing but text, wherever the Markdown is shown.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"@team":              "@<!-- -->team",
		"see #12":            "see #<!-- -->12",
		"https://a.example":  "https:/<!-- -->/a.example",
		"WWW.a.example":      "WWW<!-- -->.a.example",
		"a\u202eb\u200fc\nd": "a\ufffdb\ufffdc d",
		"<b> & $x$ |":        `&lt;b&gt; &amp; \$x\$ \|`,
	} {
		if got := plain(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct{ base, file, want string }{
		{".", "report.json", "./report.json"},
		{".", "javascript:alert(1).json", "./javascript:alert%281%29.json"},
		{"../my reports", "a?b/c#d%.json", "../my%20reports/a%3Fb/c%23d%25.json"},
		{"/reports", "a.json", "/reports/a.json"},
		{"x", "..a.json", "./x/..a.json"},
	} {
		if got := (htmlView{base: c.base}).Link(c.file); got != c.want {
			t.Errorf("the link from %s to %s is %s, want %s", c.base, c.file, got, c.want)
		}
	}
}

// What lies outside of the folder is not read, whatever leads there.
func TestLinksOutOfTheFolder(t *testing.T) {
	ours, outside, dir := key(t), t.TempDir(), t.TempDir()
	files := fstest.MapFS{}
	put(t, files, "report.json", run(t, "Alpha", "1", 1, passed, passed), ours)
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(outside, name), file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(outside, name), filepath.Join(dir, name)); err != nil {
			t.Skipf("this system makes no links: %v", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m := build(t, root.FS(), rules(ours))
	if len(m.Meshes) != 0 {
		t.Errorf("%s was read", m.Meshes[0].File)
	}
	wantLeftOut(t, m, map[string]string{"report.json": "escapes", "report.dsse.json": "escapes"})
}

func TestBuildNeedsAKeyAndAFolder(t *testing.T) {
	if _, err := Build(fstest.MapFS{}, rules()); err == nil {
		t.Error("no key was needed")
	}
	m, err := Build(fstest.MapFS{}, rules(key(t)))
	if err != nil || !strings.Contains(m.Markdown(), "no verified report") {
		t.Errorf("an empty folder: %v, %v", m, err)
	}
}
