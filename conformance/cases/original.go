package cases

import "github.com/smi-project/smi/conformance"

// original are the cases of the suite that came before this one, under their numbers.
var original []*conformance.Case
