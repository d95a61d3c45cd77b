//go:build e2e

package e2e

import (
	"context"
	"testing"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/cases"
	target "github.com/smi-project/smi/conformance/cluster"
	"github.com/smi-project/smi/conformance/report"
)

// TestConformance runs the whole suite on the mesh.
func TestConformance(t *testing.T) {
	profile, err := target.LoadProfile("smi")
	if err != nil {
		t.Fatal(err)
	}
	on, err := target.New(t.Context(), target.Options{Config: here.config, Profile: profile, Image: here.image("smi-sample"), Forge: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := on.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	found, err := conformance.Run(t.Context(), on, cases.Suite(), &profile.Claim, conformance.Options{Progress: func(r report.Result) {
		if r.Outcome == report.Failed {
			t.Errorf("%s: %s", r.ID, r.Reason)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v in %.0f s", found.Summary, found.Duration)
}
