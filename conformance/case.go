package conformance

import "io/fs"

// Case proves a rule, or a part of one.
type Case struct {
	// ID is the rule and a word, such as "AC-3-union". It never changes its
	// meaning, since reports of many years are compared by it.
	ID string
	// Title says in one sentence what holds if the case passes.
	Title string
	// Rules are the rules of docs/semantics.md that it proves.
	Rules []string
	// Features are those that a mesh has to claim for it.
	Features []Feature
	// APIs are the groups and versions of the SMI objects that it applies.
	APIs []string
	// Needs are what its target has to be able to, besides what every target is.
	Needs []Ability
	// Original is the case's number in the suite that came before this one, such
	// as "TA-1.2.3".
	Original string
	// Slow tells that it waits for long, and runs beside the others. It calls the
	// vault or workloads that it brings, which no quick case does, and applies objects
	// of names that no other case applies.
	Slow bool
	// Run carries it out.
	Run func(*T)
}

// Suite is a list of cases with the manifests that they apply.
type Suite struct {
	Version   string
	Cases     []*Case
	Manifests fs.FS
}
