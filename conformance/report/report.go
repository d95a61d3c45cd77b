// Package report holds what a conformance run found, in a versioned form that
// programs read, and writes it as JSON, YAML, JUnit and a page for people.
//
// It judges nothing: what a result means was decided by the case that made it.
package report

import "time"

// APIVersion and Kind of a Report.
const (
	APIVersion = "conformance.smi-spec.io/v1alpha1"
	Kind       = "ConformanceReport"
)

// Report is what one run of the suite found about one mesh.
type Report struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Mesh       Mesh   `json:"mesh"`
	// Platform is where the mesh ran, such as "Kubernetes v1.36.3" or "standalone".
	Platform string `json:"platform"`
	Suite    Suite  `json:"suite"`
	// Started is in UTC; Duration in seconds.
	Started  time.Time `json:"started"`
	Duration float64   `json:"durationSeconds"`
	Summary  Summary   `json:"summary"`
	// Features tells, for each, what the mesh claims and how its cases ended.
	Features []Feature `json:"features"`
	Results  []Result  `json:"results"`
}

// Mesh names what was tested.
type Mesh struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// APIs are the groups and versions that it claims to read.
	APIs []string `json:"apis,omitempty"`
	// Unverified tells that what the suite knows of this mesh was never tried on a
	// real one, so that a failure may be a mistake of that knowledge.
	Unverified bool `json:"unverified,omitempty"`
}

// Suite names what tested it.
type Suite struct {
	Version string `json:"version"`
	// Digest is the SHA-256, in hexadecimal, of all that decides what its cases show:
	// their sources and manifests, the fixture, and what observes and judges for them.
	Digest string `json:"digest"`
	Cases  int    `json:"cases"`
}

// Summary counts results by their outcome.
type Summary struct {
	Passed     int `json:"passed"`
	Failed     int `json:"failed"`
	NotClaimed int `json:"notClaimed"`
}

// Capability is how much of a feature a mesh claims.
type Capability string

// The capabilities.
const (
	Full    Capability = "full"
	Partial Capability = "partial" // with exceptions that the claim names
	None    Capability = "none"
)

// Feature is a part of SMI, what the mesh claims of it, and what was found.
type Feature struct {
	Name       string     `json:"name"`
	Title      string     `json:"title"`
	Capability Capability `json:"capability"`
	Summary
}

// Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	NotClaimed Outcome = "notClaimed"
)

// Result is how one case ended.
type Result struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Original is the case's number in the suite that came before this one.
	Original string   `json:"original,omitempty"`
	Rules    []string `json:"rules"`
	Features []string `json:"features"`
	Outcome  Outcome  `json:"outcome"`
	// Reason says why it failed, or why it was not run.
	Reason   string     `json:"reason,omitempty"`
	Duration float64    `json:"durationSeconds"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is one observation: what was sent, what should come, what came.
type Evidence struct {
	// From is the workload that sent, as namespace/name; Sent how many requests.
	From string `json:"from,omitempty"`
	What string `json:"what"`
	Sent int    `json:"sent,omitempty"`
	// Wanted is the expectation in words, Answers the observed distribution.
	Wanted  string         `json:"wanted"`
	Answers map[string]int `json:"answers,omitempty"`
	Held    bool           `json:"held"`
	// Controls counts the control requests around it that succeeded: what tells a
	// denial from an outage.
	Controls int `json:"controls,omitempty"`
	// Elapsed is how long it took until what was waited for was there, or was given
	// up, in seconds; 0 where nothing was waited for.
	Elapsed float64 `json:"elapsedSeconds,omitempty"`
	// Detail is what else is to be known, above all where it did not hold.
	Detail string `json:"detail,omitempty"`
}

// Add counts an outcome.
func (s *Summary) Add(o Outcome) {
	switch o {
	case Passed:
		s.Passed++
	case Failed:
		s.Failed++
	case NotClaimed:
		s.NotClaimed++
	}
}
