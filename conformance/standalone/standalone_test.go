//go:build linux

package standalone

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/cases"
	"github.com/smi-project/smi/conformance/report"
	"github.com/smi-project/smi/internal/tool"
)

// TestConformance runs the whole suite on the standalone runtime.
func TestConformance(t *testing.T) {
	sample := filepath.Join(t.TempDir(), "smi-sample")
	build := exec.Command("go", "build", "-o", sample, "../../examples/sample")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the sample: %v\n%s", err, out)
	}
	envoy, err := tool.Envoy("")
	if err != nil {
		t.Fatal(err)
	}
	target, err := Start(t.Context(), Options{Envoy: envoy, Sample: sample, Version: "test", Line: func(source, text string) { t.Logf("%s: %s", source, text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	got, err := conformance.Run(t.Context(), target, cases.Suite(), Claim(), conformance.Options{Progress: func(r report.Result) {
		t.Logf("%s %s (%.1fs) %s", r.Outcome, r.ID, r.Duration, r.Reason)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Summary.Failed > 0 {
		t.Errorf("%d cases failed", got.Summary.Failed)
	}
	t.Logf("%+v in %.1fs", got.Summary, got.Duration)
}
