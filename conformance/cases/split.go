package cases

import "github.com/smi-project/smi/conformance"

// split are the cases of the TS rules.
var split []*conformance.Case
