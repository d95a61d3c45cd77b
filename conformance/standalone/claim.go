package standalone

import (
	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/report"
)

// Claim is what the standalone runtime says that it does: everything but UDP,
// which it does not carry.
func Claim() *conformance.Claim {
	claim := &conformance.Claim{
		APIs:     []string{"access.smi-spec.io/v1alpha3", "access.smi-spec.io/v1alpha4", "specs.smi-spec.io/v1alpha4", "split.smi-spec.io/v1alpha4"},
		Features: map[string]report.Capability{},
	}
	for _, f := range conformance.Features {
		claim.Features[f.Name] = report.Full
	}
	claim.Features[conformance.AccessUDP.Name] = report.None
	return claim
}
