package report

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/smi-project/smi/conformance/page"
)

// The parts of JUnit's XML that tools agree on.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit returns the report as JUnit XML, for what shows test results: a suite per
// feature, in which a case stands once, under the first of its features. What is
// not claimed was skipped, with the reason; a failure has its evidence.
func (r *Report) JUnit() ([]byte, error) {
	all := junitSuites{Name: "SMI conformance of " + r.title(), Time: seconds(r.Duration)}
	properties := []junitProperty{
		{"mesh", r.title()}, {"platform", r.Platform}, {"suite", r.Suite.Version}, {"suite digest", r.Suite.Digest},
	}
	for _, group := range r.groups() {
		suite := junitSuite{Name: group.Name, Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Properties: properties}
		spent := 0.0
		for _, result := range group.Results {
			suite.Cases = append(suite.Cases, junitOf(group.Name, result))
			spent += result.Duration
			switch result.Outcome {
			case Failed:
				suite.Failures++
			case NotClaimed:
				suite.Skipped++
			}
		}
		suite.Tests, suite.Time = len(group.Results), seconds(spent)
		all.Suites = append(all.Suites, suite)
		all.Tests, all.Failures, all.Skipped = all.Tests+suite.Tests, all.Failures+suite.Failures, all.Skipped+suite.Skipped
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

func junitOf(feature string, result *Result) junitCase {
	c := junitCase{Name: result.ID + " " + result.Title, Class: feature, Time: seconds(result.Duration)}
	switch result.Outcome {
	case Failed:
		first, _, _ := strings.Cut(result.Reason, "\n")
		c.Failure = &junitMessage{Message: first, Type: strings.Join(result.Rules, " "), Text: result.Text()}
	case NotClaimed:
		c.Skipped = &junitMessage{Message: result.Reason}
	}
	return c
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// Text tells why the case failed, and what it saw, in lines.
func (r *Result) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n%s\n", r.Title, strings.Join(r.Rules, ", "), r.Reason)
	for _, e := range r.Evidence {
		held := "as wanted"
		if !e.Held {
			held = "WRONG"
		}
		fmt.Fprintf(&b, "\n%s: %s", held, e.What)
		if e.From != "" {
			fmt.Fprintf(&b, "\n  from:   %s", e.From)
		}
		fmt.Fprintf(&b, "\n  wanted: %s", e.Wanted)
		for _, answer := range slices.Sorted(maps.Keys(e.Answers)) {
			fmt.Fprintf(&b, "\n  got:    %d x %s", e.Answers[answer], answer)
		}
		if e.Controls > 0 {
			fmt.Fprintf(&b, "\n  controls that succeeded: %d", e.Controls)
		}
		if e.Elapsed > 0 {
			fmt.Fprintf(&b, "\n  waited: %s", page.Seconds(e.Elapsed))
		}
		if e.Detail != "" {
			fmt.Fprintf(&b, "\n  detail: %s", e.Detail)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (r *Report) title() string { return strings.TrimSpace(r.Mesh.Name + " " + r.Mesh.Version) }

// group is the results whose first feature is the same.
type group struct {
	Feature
	Results []*Result
}

// groups are the results by their first feature, in the order of the features. A
// result without any comes last.
func (r *Report) groups() []group {
	var groups []group
	for _, f := range append(slices.Clone(r.Features), Feature{Name: "none", Title: "Without a feature"}) {
		g := group{Feature: f}
		for i := range r.Results {
			first := "none"
			if len(r.Results[i].Features) > 0 {
				first = r.Results[i].Features[0]
			}
			if first == f.Name {
				g.Results = append(g.Results, &r.Results[i])
			}
		}
		if len(g.Results) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}
