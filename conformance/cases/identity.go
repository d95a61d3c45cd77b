package cases

import "github.com/smi-project/smi/conformance"

// identity are the cases of the ID rules.
var identity []*conformance.Case
