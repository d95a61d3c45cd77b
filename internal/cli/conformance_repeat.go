package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/page"
	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
)

// repeated is what several runs of the suite have shown.
type repeated struct {
	of   int
	took []float64 // seconds of each run
	// failed counts, for each case, the runs in which it failed; failing are the runs
	// in which any did.
	failed  map[string]int
	failing int
}

// checkRepeat finds flags that make no sense together.
func (f *conformanceRunFlags) checkRepeat() error {
	switch {
	case f.repeat < 1:
		return UsageErrorf("--repeat %d: once is the least", f.repeat)
	case f.repeat > 1 && f.format != formatTable:
		return UsageErrorf("--repeat prints no report, as there are several: leave -o out, and have them in a folder with --report")
	}
	return nil
}

// repeatSuite runs the suite again and again, each time on a mesh that is started
// for it, and tells in the end what did not hold every time. It ends with the first
// run that brings no report, as nothing could be said of the cases.
func (a *App) repeatSuite(ctx context.Context, f *conformanceRunFlags, claim *conformance.Claim, options conformance.Options, keys []*provenance.PrivateKey) error {
	all := repeated{of: f.repeat, failed: map[string]int{}}
	lines := &progress{app: a, to: a.Out, of: f.repeat}
	options.Progress = func(r report.Result) {
		if r.Outcome == report.Failed {
			lines.count = len(all.took)
			lines.ended(r)
		}
	}
	for i := range f.repeat {
		started := time.Now()
		found, err := a.runSuite(ctx, f, claim, options)
		if err != nil {
			a.tellRepeated(&all)
			return fmt.Errorf("run %d of %d: %w", i+1, f.repeat, err)
		}
		all.add(found, time.Since(started))
		if f.report != "" {
			if err := writeReports(filepath.Join(f.report, fmt.Sprintf("run-%03d", i+1)), found, f.by, keys); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.Out, "run %*d/%d  %s, %s (%s)\n", len(fmt.Sprint(f.repeat)), i+1, f.repeat,
			count(len(found.Results), "case"), found.Summary, page.Seconds(all.took[i]))
		if f.failFast && all.failing > 0 {
			break
		}
	}
	a.tellRepeated(&all)
	if all.failing > 0 {
		return ErrNo
	}
	return nil
}

func (r *repeated) add(found *report.Report, took time.Duration) {
	r.took = append(r.took, took.Seconds())
	if found.Summary.Failed > 0 {
		r.failing++
	}
	for _, result := range found.Results {
		if result.Outcome == report.Failed {
			r.failed[result.ID]++
		}
	}
}

// tellRepeated prints what all runs have shown.
func (a *App) tellRepeated(r *repeated) {
	if len(r.took) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.failed)) {
		fmt.Fprintf(a.Out, "%s failed in %d of %s\n", id, r.failed[id], count(len(r.took), "run"))
	}
	sorted := slices.Sorted(slices.Values(r.took))
	fmt.Fprintf(a.Out, "conformance: %s of %d, %d with failures; from %s to %s, the median %s\n", count(len(r.took), "run"), r.of, r.failing,
		page.Seconds(sorted[0]), page.Seconds(sorted[len(sorted)-1]), page.Seconds(sorted[len(sorted)/2]))
}
