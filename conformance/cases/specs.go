package cases

import "github.com/smi-project/smi/conformance"

// specs are the cases of the SP rules.
var specs []*conformance.Case
