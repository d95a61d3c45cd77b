// Package matrix compares meshes by their signed conformance reports: features as
// rows, meshes and their versions as columns.
//
// What is not signed by a key that the reader gives, and lets speak for the mesh,
// does not count; neither does a run of a part of the suite, or of another suite
// than the reader has, by which meshes could be made to look alike. All are listed
// with the reason. The package judges nothing else: it shows what reports say.
package matrix

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/smi-project/smi/conformance/report"
)

// APIVersion and Kind of a Matrix.
const (
	APIVersion = report.APIVersion
	Kind       = "ConformanceMatrix"
)

// Matrix is what the reports of a folder say.
type Matrix struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Features are the rows.
	Features []Feature `json:"features"`
	// Meshes are the columns: by name, and of one mesh the newest run first.
	Meshes []Mesh `json:"meshes"`
	// LeftOut are the reports that do not count.
	LeftOut []LeftOut `json:"leftOut,omitempty"`
	// PassedOver are the files that are matrices themselves, and not signed.
	PassedOver []string `json:"passedOver,omitempty"`
}

// Feature is a part of SMI.
type Feature struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Mesh is one version of a mesh on one platform by one signer, with its newest
// run: nobody's run takes the place of another's.
type Mesh struct {
	Run
	// History are its earlier runs, the newest first.
	History []Run `json:"history,omitempty"`
}

// FailedBefore counts the earlier runs in which a case failed: a mesh that passes
// once in a while is not one that passes.
func (m *Mesh) FailedBefore() int {
	n := 0
	for i := range m.History {
		if m.History[i].Summary.Failed > 0 {
			n++
		}
	}
	return n
}

// Run is what one verified report says.
type Run struct {
	Mesh     report.Mesh  `json:"mesh"`
	Platform string       `json:"platform"`
	Suite    report.Suite `json:"suite"`
	// Started is in UTC.
	Started  time.Time       `json:"started"`
	Summary  report.Summary  `json:"summary"`
	Features map[string]Cell `json:"features"` // by name
	// By is who ran the suite, in their own words. Signers are the ids of the keys
	// that signed, of those that may speak for the mesh, in order.
	By      string   `json:"by"`
	Signers []string `json:"signers"`
	// OtherSuite tells that the suite is not the reader's, so that nobody knows
	// whether the run is whole.
	OtherSuite bool `json:"otherSuite,omitempty"`
	// File is the report's path in the folder.
	File string `json:"file"`
}

// Cell is what a mesh claims of a feature, and what was found.
type Cell struct {
	Capability report.Capability `json:"capability"`
	report.Summary
}

// LeftOut is a report that does not count, and why.
type LeftOut struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

func (m *Matrix) leaveOut(path string, reason error) {
	m.LeftOut = append(m.LeftOut, LeftOut{path, reason.Error()})
}

// columns makes the columns of runs.
func (m *Matrix) columns(runs []Run) {
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(strings.Compare(a.Mesh.Name, b.Mesh.Name), b.Started.Compare(a.Started), strings.Compare(a.File, b.File))
	})
	type place struct{ mesh, version, platform, signers string }
	column := map[place]int{}
	for _, run := range runs {
		at := place{run.Mesh.Name, run.Mesh.Version, run.Platform, strings.Join(run.Signers, " ")}
		if i, ok := column[at]; ok {
			m.Meshes[i].History = append(m.Meshes[i].History, run)
			continue
		}
		column[at] = len(m.Meshes)
		m.Meshes = append(m.Meshes, Mesh{Run: run})
	}
}

// rows makes the rows: the features in the order of the newest report, then those
// that only older ones have.
func (m *Matrix) rows(reports []*report.Report) {
	slices.SortStableFunc(reports, func(a, b *report.Report) int { return b.Started.Compare(a.Started) })
	known := map[string]bool{}
	for _, r := range reports {
		for _, f := range r.Features {
			if !known[f.Name] {
				known[f.Name] = true
				m.Features = append(m.Features, Feature{f.Name, f.Title})
			}
		}
	}
}
