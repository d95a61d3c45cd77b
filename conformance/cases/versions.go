package cases

import "github.com/smi-project/smi/conformance"

// versions are the cases of the VE rules.
var versions []*conformance.Case
