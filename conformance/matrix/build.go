package matrix

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
)

// Key is a public key that may speak for one mesh, or for all.
type Key struct {
	Public *provenance.PublicKey
	Mesh   string // the name in its reports; any where it is empty
}

// Rules say which reports count.
type Rules struct {
	// Keys are those of whom the reader believes, at least one.
	Keys []Key
	// Suite is the one that reports are held against: a run is whole if it has a
	// result for each of its cases.
	Suite report.Suite
	// OtherSuites lets runs of other suites count, and marks them. What such a
	// suite has, they alone say.
	OtherSuites bool
	// Now is the reader's time. What ends later was not run.
	Now time.Time
}

// skew is by how much the clock of who ran the suite may be ahead of the reader's.
const skew = 10 * time.Minute

// builder reads a folder.
type builder struct {
	*Matrix
	folder  fs.FS
	rules   *Rules
	publics []*provenance.PublicKey
	runs    []Run
	reports []*report.Report
	seen    map[copyOf]bool
}

// copyOf tells copies: the same file with the same signers. One that somebody else
// has signed is another statement.
type copyOf struct {
	file    [sha256.Size]byte
	signers string
}

// Build reads a folder with all folders below it. A report is a file that ends
// with .json; its envelope lies beside it and ends with .dsse.json. The error says
// that the folder cannot be read, or that no key is given.
func Build(folder fs.FS, rules *Rules) (*Matrix, error) {
	if len(rules.Keys) == 0 {
		return nil, errors.New("without a public key no report can be verified")
	}
	b := builder{
		Matrix: &Matrix{APIVersion: APIVersion, Kind: Kind, Features: []Feature{}, Meshes: []Mesh{}},
		folder: folder, rules: rules, seen: map[copyOf]bool{},
	}
	for _, key := range rules.Keys {
		if !slices.ContainsFunc(b.publics, func(p *provenance.PublicKey) bool { return p.ID == key.Public.ID }) {
			b.publics = append(b.publics, key.Public)
		}
	}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, provenance.ReportSuffix) {
			b.file(path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b.columns(b.runs)
	b.rows(b.reports)
	return b.Matrix, nil
}

// file takes a file in, or leaves it out.
func (b *builder) file(path string) {
	if strings.HasSuffix(path, provenance.EnvelopeSuffix) {
		b.lonely(path)
		return
	}
	file, err := read(b.folder, path)
	if err != nil {
		b.leaveOut(path, err)
		return
	}
	if _, err := fs.Stat(b.folder, provenance.EnvelopeOf(path)); errors.Is(err, fs.ErrNotExist) && kindOf(file) == Kind {
		b.PassedOver = append(b.PassedOver, path)
		return
	}
	run, found, err := b.verify(path, file)
	if err != nil {
		b.leaveOut(path, err)
		return
	}
	of := copyOf{sha256.Sum256(file), strings.Join(run.Signers, " ")}
	if b.seen[of] {
		return
	}
	b.seen[of] = true
	b.runs = append(b.runs, *run)
	b.reports = append(b.reports, found)
}

// maxFile bounds what is read of one file.
const maxFile = 64 << 20

func read(folder fs.FS, path string) ([]byte, error) {
	file, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	large := fmt.Errorf("it is no file of up to %d MB", maxFile>>20)
	if !info.Mode().IsRegular() {
		return nil, large
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1)) // it may grow as it is read
	if len(text) > maxFile {
		return nil, large
	}
	return text, err
}

func kindOf(file []byte) string {
	var head struct {
		Kind string `json:"kind"`
	}
	_ = kjson.UnmarshalCaseSensitivePreserveInts(file, &head) // what is no object has no kind
	return head.Kind
}

// verify returns what counts of a file.
func (b *builder) verify(path string, file []byte) (*Run, *report.Report, error) {
	envelope, err := read(b.folder, provenance.EnvelopeOf(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("it is not signed: there is no %s", provenance.EnvelopeOf(path))
	case err != nil:
		return nil, nil, err
	}
	verified, err := provenance.Verify(envelope, file, b.publics...)
	if err != nil {
		return nil, nil, err
	}
	r := verified.Report
	signers, err := b.rules.speakers(r.Mesh.Name, verified.Signers)
	if err != nil {
		return nil, nil, err
	}
	if ended := verified.Statement.Predicate.Finished; ended.After(b.rules.Now.Add(skew)) {
		return nil, nil, fmt.Errorf("it says that the run ended at %s, which is yet to come: a clock is wrong, and the newest run is the one that is shown", ended.Format(time.RFC3339))
	}
	other := r.Suite != b.rules.Suite
	if other && !b.rules.OtherSuites {
		return nil, nil, fmt.Errorf("it is of suite %s, and reports are held against %s: run this one, or let reports of other suites count", suiteName(r.Suite), suiteName(b.rules.Suite))
	}
	if !r.Complete() {
		return nil, nil, fmt.Errorf("only %d of the suite's %d cases have a result, and whole runs are compared", len(r.Results), r.Suite.Cases)
	}
	run := &Run{
		Mesh: r.Mesh, Platform: r.Platform, Suite: r.Suite, Started: r.Started.UTC(), Summary: r.Summary,
		Features: map[string]Cell{}, By: verified.Statement.Predicate.By, Signers: signers, OtherSuite: other, File: path,
	}
	for _, f := range r.Features {
		run.Features[f.Name] = Cell{f.Capability, f.Summary}
	}
	return run, r, nil
}

// speakers returns the ids of those keys that may speak for a mesh, at least one.
func (r *Rules) speakers(mesh string, signers []*provenance.PublicKey) ([]string, error) {
	var ids []string
	for _, signer := range signers {
		if slices.ContainsFunc(r.Keys, func(k Key) bool { return k.Public.ID == signer.ID && (k.Mesh == "" || k.Mesh == mesh) }) {
			ids = append(ids, signer.ID)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("it is of %q, for which the key %.8s may not speak", mesh, signers[0].ID)
	}
	slices.Sort(ids)
	return ids, nil
}

// suiteName tells a suite from others.
func suiteName(s report.Suite) string {
	return fmt.Sprintf("%.32s (digest %.12q, cases: %d)", s.Version, s.Digest, s.Cases)
}

// lonely leaves out an envelope whose report is not there.
func (b *builder) lonely(path string) {
	of := strings.TrimSuffix(path, provenance.EnvelopeSuffix) + provenance.ReportSuffix
	if _, err := fs.Stat(b.folder, of); errors.Is(err, fs.ErrNotExist) {
		b.leaveOut(path, fmt.Errorf("its report %s is not there", of))
	} else if err != nil {
		b.leaveOut(path, err)
	}
}
