// Package cases holds the cases of the suite: for each rule of docs/semantics.md
// that traffic can show, a function and the manifests that it applies, in files
// that begin with the rule's number.
//
// A case says what it expects and leaves how to observe it to package conformance.
// It assumes the fixture and nothing of other cases.
package cases

import (
	"embed"
	"slices"

	"github.com/smi-project/smi/conformance"
)

// Version is that of the suite: the last number counts corrections, the middle
// one new cases, the first one cases that have become stricter.
const Version = "0.3.0"

// manifests holds the cases' sources too, so that the digest of the suite says what
// they do.
//
//go:embed *.yaml *.go
var manifests embed.FS

// Suite returns all cases, in the order of the rules.
func Suite() *conformance.Suite {
	return &conformance.Suite{
		Version: Version, Manifests: manifests,
		Cases: slices.Concat(original, identity, proofs, bindings, protocol, passing, specs, matching, paths, access, accessRules, accessAnswers, accessModes, split, platform, versions),
	}
}

// The groups and versions that most cases apply.
const (
	accessV1alpha3 = "access.smi-spec.io/v1alpha3"
	accessV1alpha4 = "access.smi-spec.io/v1alpha4"
	specsV1alpha4  = "specs.smi-spec.io/v1alpha4"
	splitV1alpha4  = "split.smi-spec.io/v1alpha4"
)
