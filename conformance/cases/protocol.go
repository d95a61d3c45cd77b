package cases

import "github.com/smi-project/smi/conformance"

// protocol are the cases of the PR rules.
var protocol []*conformance.Case
