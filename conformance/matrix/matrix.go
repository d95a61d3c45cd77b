// Package matrix compares meshes by their signed conformance reports: features as
// rows, meshes and their versions as columns.
//
// What is not signed by a key that the reader gives does not count, and neither
// does a run of a part of the suite, by which meshes could be made to look alike.
// Both are listed with the reason. The package judges nothing else: it shows what
// reports say.
package matrix

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/smi-project/smi/conformance/provenance"
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
}

// Feature is a part of SMI.
type Feature struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Mesh is one version of a mesh, with its newest run.
type Mesh struct {
	Run
	// History are its earlier runs, the newest first.
	History []Run `json:"history,omitempty"`
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
	// By is who ran the suite, in their own words; Signers are the ids of the keys.
	By      string   `json:"by"`
	Signers []string `json:"signers"`
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

// Build reads a folder with all folders below it. A report is a file that ends
// with .json; its envelope lies beside it and ends with .dsse.json. The error says
// that the folder cannot be read.
func Build(folder fs.FS, keys ...*provenance.PublicKey) (*Matrix, error) {
	if len(keys) == 0 {
		return nil, errors.New("without a public key no report can be verified")
	}
	m := &Matrix{APIVersion: APIVersion, Kind: Kind, Features: []Feature{}, Meshes: []Mesh{}}
	var runs []Run
	var rows []*report.Report
	seen := map[[sha256.Size]byte]bool{}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, provenance.ReportSuffix) {
			return err
		}
		if strings.HasSuffix(path, provenance.EnvelopeSuffix) {
			return m.lonely(folder, path)
		}
		file, err := read(folder, path)
		if err != nil {
			m.leaveOut(path, err)
			return nil
		}
		sum := sha256.Sum256(file)
		if seen[sum] || kindOf(file) == Kind {
			return nil // a copy, or a matrix
		}
		verified, err := verify(folder, path, file, keys)
		if err != nil {
			m.leaveOut(path, err)
			return nil
		}
		seen[sum] = true
		runs = append(runs, runOf(path, verified))
		rows = append(rows, verified.Report)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.columns(runs)
	m.rows(rows)
	return m, nil
}

// maxFile bounds what is read of one file.
const maxFile = 64 << 20

func read(folder fs.FS, path string) ([]byte, error) {
	info, err := fs.Stat(folder, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("it is no file of up to %d MB", maxFile>>20)
	}
	return fs.ReadFile(folder, path)
}

func kindOf(file []byte) string {
	var head struct {
		Kind string `json:"kind"`
	}
	_ = json.Unmarshal(file, &head) // what is no object has no kind
	return head.Kind
}

func verify(folder fs.FS, path string, file []byte, keys []*provenance.PublicKey) (*provenance.Verified, error) {
	envelope, err := read(folder, provenance.EnvelopeOf(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("it is not signed: there is no %s", provenance.EnvelopeOf(path))
	case err != nil:
		return nil, err
	}
	verified, err := provenance.Verify(envelope, file, keys...)
	if err != nil {
		return nil, err
	}
	if r := verified.Report; !r.Complete() {
		return nil, fmt.Errorf("only %d of the suite's %d cases have a result, and whole runs are compared", len(r.Results), r.Suite.Cases)
	}
	return verified, nil
}

// lonely leaves out an envelope whose report is gone.
func (m *Matrix) lonely(folder fs.FS, path string) error {
	of := strings.TrimSuffix(path, provenance.EnvelopeSuffix) + provenance.ReportSuffix
	if _, err := fs.Stat(folder, of); errors.Is(err, fs.ErrNotExist) {
		m.leaveOut(path, fmt.Errorf("its report %s is not there", of))
	} else if err != nil {
		return err
	}
	return nil
}

func (m *Matrix) leaveOut(path string, reason error) {
	m.LeftOut = append(m.LeftOut, LeftOut{path, reason.Error()})
}

func runOf(path string, v *provenance.Verified) Run {
	r := v.Report
	run := Run{
		Mesh: r.Mesh, Platform: r.Platform, Suite: r.Suite, Started: r.Started.UTC(), Summary: r.Summary,
		Features: map[string]Cell{}, By: v.Statement.Predicate.By, File: path,
	}
	for _, f := range r.Features {
		run.Features[f.Name] = Cell{f.Capability, f.Summary}
	}
	for _, key := range v.Signers {
		run.Signers = append(run.Signers, key.ID)
	}
	return run
}

// columns makes the columns of runs.
func (m *Matrix) columns(runs []Run) {
	slices.SortFunc(runs, func(a, b Run) int {
		return cmp.Or(strings.Compare(a.Mesh.Name, b.Mesh.Name), b.Started.Compare(a.Started), strings.Compare(a.File, b.File))
	})
	column := map[[2]string]int{}
	for _, run := range runs {
		name := [2]string{run.Mesh.Name, run.Mesh.Version}
		if i, ok := column[name]; ok {
			m.Meshes[i].History = append(m.Meshes[i].History, run)
			continue
		}
		column[name] = len(m.Meshes)
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
