package file

import (
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Options say how to read.
type Options struct {
	// Offline marks every Pod ready, because nothing runs that could tell.
	Offline bool
	// Input is what the path - means; the standard input where it is nil.
	Input io.Reader
}

// Result is everything that the files say. Nobody may modify it: what did not
// change is shared by the next one.
type Result struct {
	// Objects are ready for a store, in the order of the files. No two have the
	// same kind and name. The Pods of Workloads are among them.
	Objects []store.Object
	// Workloads are the controllers of Pods, in the order of the files.
	Workloads []*Workload
	// Findings are what is wrong with the files, in their order. Their messages
	// begin with the place.
	Findings []mesh.Finding
	// Positions tell where each of the Objects was written; for a Pod of a
	// workload, where the workload was.
	Positions map[store.Object]Position

	places map[mesh.ObjectRef]Position
}

// Position is a place in a file.
type Position struct {
	// File is the path as it was given, with the path inside the folder that was
	// given; "stdin" for the standard input.
	File string
	// Line counts from 1.
	Line int
}

// String returns file:line, or the file where no line is known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Where tells where the object of a finding was written, if it was.
func (r *Result) Where(ref mesh.ObjectRef) (Position, bool) {
	p, ok := r.places[ref]
	return p, ok
}

// Load reads files and folders, with all folders below them. A path that does
// not exist is an error; whatever is wrong inside of a file is a finding.
func Load(paths []string, opts Options) (*Result, error) {
	f := find(paths, func(string) {})
	if len(f.missing) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(f.missing, ", "), fs.ErrNotExist)
	}
	return assemble(newReader(opts).round(f)), nil
}
