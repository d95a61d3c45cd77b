package report

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"

	"github.com/smi-project/smi/conformance/page"
)

//go:embed report.html.tmpl
var reportTemplate string

var htmlPage = page.New(reportTemplate)

// HTML returns the report as one page for people: failures first, each case with
// what was seen. Texts of the mesh under test are hostile input to it, and
// escaped.
func (r *Report) HTML() ([]byte, error) {
	view := htmlView{Report: r, Title: r.title()}
	for _, g := range r.groups() {
		h := htmlGroup{Name: g.Name, Title: g.Title}
		for _, result := range g.Results {
			c := htmlOf(result)
			if result.Outcome == Failed {
				view.Failures = append(view.Failures, c)
			} else {
				h.Cases = append(h.Cases, c)
			}
		}
		if len(h.Cases) > 0 {
			view.Groups = append(view.Groups, h)
		}
	}
	return page.Render(htmlPage, view)
}

// What the page shows.
type (
	htmlView struct {
		*Report
		Title    string
		Failures []htmlCase
		Groups   []htmlGroup
	}
	htmlGroup struct {
		Name, Title string
		Cases       []htmlCase
	}
	htmlCase struct {
		*Result
		Reason string
		Seen   []htmlEvidence
	}
	htmlEvidence struct {
		*Evidence
		Bars []htmlBar
	}
	htmlBar struct {
		Answer    string
		Count, Of int
	}
)

func htmlOf(result *Result) htmlCase {
	c := htmlCase{Result: result, Reason: strings.TrimSpace(result.Reason)}
	for i := range result.Evidence {
		e := &result.Evidence[i]
		seen := htmlEvidence{Evidence: e}
		for answer, n := range e.Answers {
			seen.Bars = append(seen.Bars, htmlBar{answer, n, max(e.Sent, n)})
		}
		slices.SortFunc(seen.Bars, func(a, b htmlBar) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Answer, b.Answer))
		})
		c.Seen = append(c.Seen, seen)
	}
	return c
}
