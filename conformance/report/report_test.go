package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostile is an answer that wants to be more than text.
const hostile = "</dd><script>alert(1)</script>\x1b[2J\"' onload='x' ]]> &amp; javascript:x"

func sample() *Report {
	r := &Report{
		APIVersion: APIVersion, Kind: Kind, Mesh: Mesh{Name: "Mesh <b>", Version: "1.2", APIs: []string{"split.smi-spec.io/v1alpha4"}},
		Platform: "standalone", Suite: Suite{Version: "0.1.0", Digest: "abc", Cases: 3}, Duration: 3.25,
		Started: time.Date(2026, 3, 4, 5, 6, 7, 8900, time.UTC),
		Results: []Result{
			{ID: "AC-3-union", Title: "A union", Rules: []string{"AC-3"}, Features: []string{"access-http", "grpc"}, Outcome: Passed, Duration: 1.5,
				Evidence: []Evidence{{From: "smi-apps/client", What: "GET /", Sent: 200, Wanted: "half", Answers: map[string]int{"200 v1": 90, "200 v2": 110}, Held: true}}},
			{ID: "AC-4-method", Title: "A method", Rules: []string{"AC-4", "AC-12"}, Features: []string{"access-http"}, Outcome: Failed, Reason: "first\n" + hostile, Duration: 0.25,
				Evidence: []Evidence{{What: "GET " + hostile, Sent: 1, Wanted: "a denial", Answers: map[string]int{hostile: 1}, Controls: 2, Elapsed: 1.25, Detail: hostile}}},
			{ID: "AC-11-udp", Title: "UDP", Rules: []string{"AC-11"}, Features: []string{"access-udp"}, Outcome: NotClaimed, Reason: "the mesh does not claim access-udp", Original: "TA-1.2.3"},
		},
		Features: []Feature{
			{Name: "access-http", Title: "HTTP", Capability: Full, Summary: Summary{Passed: 1, Failed: 1}},
			{Name: "access-udp", Title: "UDP", Capability: None, Summary: Summary{NotClaimed: 1}},
			{Name: "grpc", Title: "gRPC", Capability: Partial, Summary: Summary{Passed: 1}},
		},
		Summary: Summary{Passed: 1, Failed: 1, NotClaimed: 1},
	}
	return r
}

func TestReportsComeBackAsTheyWereWritten(t *testing.T) {
	for name, write := range map[string]func(*Report) ([]byte, error){"JSON": (*Report).JSON, "YAML": (*Report).YAML} {
		text, err := write(sample())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if diff := cmp.Diff(sample(), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	text, err := sample().JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"another version":      {APIVersion, "conformance.smi-spec.io/v2", `apiVersion is "conformance.smi-spec.io/v2"`},
		"another kind":         {Kind, "Pod", `kind is "Pod"`},
		"an unknown field":     {`"platform"`, `"platforms"`, `unknown field "platforms"`},
		"a field in capitals":  {`"platform"`, `"Platform"`, `unknown field "Platform"`},
		"a field twice":        {`"platform"`, `"platform": "x", "platform"`, `duplicate field "platform"`},
		"a nested field":       {`"held": true`, `"held": true, "luck": 1`, `luck`},
		"an unknown outcome":   {`"outcome": "passed"`, `"outcome": "lucky"`, `outcome is "lucky"`},
		"an unknown claim":     {`"capability": "full"`, `"capability": "more"`, `capability is "more"`},
		"a case twice":         {`"AC-4-method"`, `"AC-3-union"`, "twice"},
		"a wrong summary":      {"\"failed\": 1,\n    \"notClaimed\": 1\n  },", "\"failed\": 0,\n    \"notClaimed\": 1\n  },", "not that of the results"},
		"wrong counts":         {"\"capability\": \"full\",\n      \"passed\": 1", "\"capability\": \"full\",\n      \"passed\": 7", "feature access-http: the counts (7 passed"},
		"an unlisted feature":  {`"grpc"`, `"gprc"`, "does not list its feature"},
		"too small a suite":    {`"cases": 3`, `"cases": 2`, "of a suite of 2"},
		"what is cut":          {"}\n", "", "this is no report"},
		"a kind in capitals":   {`"kind"`, `"Kind"`, `kind is ""`},
		"an early end":         {`"durationSeconds": 3.25`, `"durationSeconds": -1`, "taken -1 seconds"},
		"a long run":           {`"durationSeconds": 3.25`, `"durationSeconds": 1e300`, "taken 1e+300 seconds"},
		"a long case":          {`"durationSeconds": 0.25`, `"durationSeconds": 1e9`, "AC-4-method: it is said to have taken 1e+09"},
		"a wrong pass":         {`"held": true`, `"held": false`, "AC-3-union: it passed, and its evidence says"},
		"no claim":             {`"capability": "full"`, `"capability": "none"`, `AC-3-union: outcome is "passed", and the mesh claims nothing of its feature access-http`},
		"no reason to skip":    {`"reason": "the mesh does not claim access-udp"`, `"reason": ""`, "AC-11-udp: it was not run, and no reason"},
		"evidence of nothing":  {`"reason": "the mesh does`, `"evidence": [{"what": "x", "wanted": "y", "held": true}], "reason": "the mesh does`, "AC-11-udp: it was not run, and has evidence"},
		"less than no request": {`"sent": 200`, `"sent": -1`, `was sent -1 times`},
		"less than no answer":  {`"200 v1": 90`, `"200 v1": -90`, `was answered -90 times`},
		"a number for a text":  {`"platform": "standalone"`, `"platform": 1`, "this is no report"},
		"nothing but a string": {string(text), "hello", "this is no report"},
		"nothing":              {string(text), " \n", "empty"},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		if name == "what is cut" {
			changed = string(text[:len(text)/2])
		}
		if changed == string(text) {
			t.Fatalf("%s: %q is not in the report", name, c.old)
		}
		if _, err := Parse([]byte(changed)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, c.want)
		}
	}
	if _, err := Parse([]byte("apiVersion: a\napiVersion: b\n")); err == nil {
		t.Error("a key that is there twice was taken")
	}
	if _, err := Parse(make([]byte, maxSize+1)); err == nil || !strings.Contains(err.Error(), "64 MB") {
		t.Errorf("too large: %v", err)
	}
}

func TestParseRefusesWhatContradictsItself(t *testing.T) {
	for want, change := range map[string]func(*Report){
		"AC-3-union: it passed, and has no evidence":                     func(r *Report) { r.Results[0].Evidence = nil },
		"AC-4-method: it failed, and no reason is given":                 func(r *Report) { r.Results[1].Reason = "" },
		"AC-3-union: it has the feature \"grpc\" twice":                  func(r *Report) { r.Results[0].Features = []string{"grpc", "grpc"} },
		"AC-4-method: it is said to have taken -1 seconds":               func(r *Report) { r.Results[1].Duration = -1 },
		"AC-3-union: \"GET /\" has -1 controls":                          func(r *Report) { r.Results[0].Evidence[0].Controls = -1 },
		"AC-3-union: \"GET /\" is said to have waited for 1e+06 seconds": func(r *Report) { r.Results[0].Evidence[0].Elapsed = 1e6 },
	} {
		r := sample()
		change(r)
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestJUnitHasEveryCaseOnce(t *testing.T) {
	text, err := sample().JUnit()
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Tests != 3 || got.Failures != 1 || got.Skipped != 1 || len(got.Suites) != 2 {
		t.Errorf("got %d tests, %d failures, %d skipped, %d suites", got.Tests, got.Failures, got.Skipped, len(got.Suites))
	}
	failure := got.Suites[0].Cases[1].Failure
	if failure == nil || failure.Message != "first" || !strings.Contains(failure.Text, "wanted: a denial") || !strings.Contains(failure.Text, "succeeded: 2\n  waited: 1.2 s") || !strings.Contains(failure.Text, "<script>alert(1)") {
		t.Errorf("the failure is %+v", failure)
	}
	if skipped := got.Suites[1].Cases[0].Skipped; skipped == nil || skipped.Message != "the mesh does not claim access-udp" {
		t.Errorf("the skipped case is %+v", skipped)
	}
}

// What an application answers is not believed to be harmless.
func TestPageEscapesAnswers(t *testing.T) {
	text, err := sample().HTML()
	if err != nil {
		t.Fatal(err)
	}
	html := string(text)
	for _, never := range []string{"<script", "Mesh <b>", "ZgotmplZ", "src=", "url(", "@import"} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, always := range []string{"&lt;script&gt;", "Mesh &lt;b&gt;", `width: 55%`, "(45.0 %)", "1 case of what this mesh claims failed", ">AC-12</a>", "was TA-1.2.3", "2 control requests succeeded", "<dt>waited</dt><dd>1.2 s"} {
		if !strings.Contains(html, always) {
			t.Errorf("the page lacks %q", always)
		}
	}
	if failed, passed := strings.Index(html, `id="AC-4-method" open`), strings.Index(html, `id="AC-3-union"`); failed < 0 || failed > passed {
		t.Errorf("what failed is not open and first: %d, %d", failed, passed)
	}
	if strings.Contains(html, `id="AC-3-union" open`) {
		t.Error("what passed is open")
	}
	wellFormed(t, html)
}

// wellFormed sees that elements are closed in the order in which they were opened.
func wellFormed(t *testing.T, html string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(html))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta", "br"}, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the page: %v", err)
		}
	}
}

func TestPageSaysWhenItIsAPart(t *testing.T) {
	r := sample()
	r.Suite.Cases = 190
	text, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("3 of 190 cases have a result")) {
		t.Error("the page does not say that most cases did not run")
	}
}

func TestPageSaysWhenAProfileIsUnverified(t *testing.T) {
	const mark = "never tried on a real one"
	for _, unverified := range []bool{false, true} {
		r := sample()
		r.Mesh.Unverified = unverified
		page, err := r.HTML()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(page, []byte(mark)); got != unverified {
			t.Errorf("unverified: %t, and the page says it: %t", unverified, got)
		}
	}
}
