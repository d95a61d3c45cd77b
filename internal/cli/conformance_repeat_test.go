package cli

import (
	"testing"
	"time"

	"github.com/smi-project/smi/conformance/report"
)

func TestRepeatedRunsAreCounted(t *testing.T) {
	run := func(failed ...string) *report.Report {
		r := new(report.Report)
		for _, id := range []string{"AC-1-x", "TS-2-y"} {
			result := report.Result{ID: id, Outcome: report.Passed}
			for _, f := range failed {
				if f == id {
					result.Outcome = report.Failed
				}
			}
			r.Results = append(r.Results, result)
			r.Summary.Add(result.Outcome)
		}
		return r
	}
	for name, test := range map[string]struct {
		runs []*report.Report
		want string
	}{
		"none":     {nil, ""},
		"all hold": {[]*report.Report{run(), run(), run()}, "conformance: 3 runs of 4, 0 with failures; from 50.0 s to 52.0 s, the median 51.0 s\n"},
		"some do not": {[]*report.Report{run("TS-2-y"), run(), run("TS-2-y", "AC-1-x")}, `AC-1-x failed in 1 of 3 runs
TS-2-y failed in 2 of 3 runs
conformance: 3 runs of 4, 2 with failures; from 50.0 s to 52.0 s, the median 51.0 s
`},
	} {
		t.Run(name, func(t *testing.T) {
			app, out, _ := testApp(nil)
			all := repeated{of: 4, failed: map[string]int{}}
			for i, r := range test.runs {
				all.add(r, time.Duration(52-i)*time.Second)
			}
			app.tellRepeated(&all)
			if got := out.String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
