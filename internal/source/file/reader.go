package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// reader reads files round by round. It remembers what it needs for those that
// did not change, that break, or that can be read only once.
type reader struct {
	input io.Reader
	docs  *documents
	// streams are the contents of what can be read only once.
	streams map[string][]byte
	// last are the sources of the last round, by path.
	last map[string]*source
}

// source is a file, and what counts of it.
type source struct {
	path     string
	entries  []placed
	findings []mesh.Finding
}

// placed is an entry, where it is, and the document that it is from.
type placed struct {
	*entry
	at  Position
	doc digest
}

func newReader(opts Options) *reader {
	input := opts.Input
	if input == nil {
		input = os.Stdin
	}
	return &reader{input: input, docs: newDocuments(opts), streams: map[string][]byte{}}
}

// round reads every file once.
func (r *reader) round(f found) []*source {
	r.docs.nextRound()
	var sources []*source
	for _, path := range f.missing {
		s := &source{path: path}
		s.report(mesh.Warning, "Missing", "does not exist, so nothing is read from it")
		sources = append(sources, s)
	}
	for _, path := range f.files {
		if s := r.source(path); s != nil {
			sources = append(sources, s)
		}
	}
	for _, failed := range f.failed {
		sources = append(sources, r.unreadable(failed, f.files)...)
	}
	r.last = make(map[string]*source, len(sources))
	for _, s := range sources {
		r.last[s.path] = s
		for _, p := range s.entries {
			r.docs.keep(p.doc)
		}
	}
	return sources
}

// unreadable keeps the files of a folder that cannot be listed any more, but for
// those that were.
func (r *reader) unreadable(failed failure, listed []string) []*source {
	s := &source{path: failed.folder}
	s.report(mesh.Error, "Unreadable", "cannot be read: %s", reasonOf(failed.err))
	sources := []*source{s}
	for _, path := range slices.Sorted(maps.Keys(r.last)) {
		inside, err := filepath.Rel(failed.folder, path)
		if err == nil && inside != "." && filepath.IsLocal(inside) && !slices.Contains(listed, path) {
			sources = append(sources, r.last[path])
		}
	}
	return sources
}

// source reads a file. It returns nil where the file vanished meanwhile.
func (r *reader) source(path string) *source {
	s, last := &source{path: path}, r.last[path]
	data, err := r.content(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		s.report(mesh.Error, "Unreadable", "cannot be read: %s", reasonOf(err))
		return s.asBefore(last)
	case len(data) == 0 && last != nil && len(last.entries) > 0:
		// Many programs empty a file before they write it anew, some of them long
		// before. All that it said would go and come back.
		s.report(mesh.Warning, "Empty", "is empty; delete it to take back what it said")
		return s.asBefore(last)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		s.report(mesh.Error, "Malformed", "is encoded in UTF-16; save it as UTF-8")
		return s.asBefore(last)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n') // so that a document appended later leaves the last one as it was
	}
	segments, ok := cut(data)
	if !ok {
		s.report(mesh.Error, "TooLarge", "has more than %d documents, which is the most that is read", maxDocuments)
		return s.asBefore(last)
	}
	malformed := false
	for _, segment := range segments {
		malformed = r.segment(s, segment) || malformed
	}
	if malformed && last != nil && len(last.entries) > 0 {
		return s.asBefore(last)
	}
	return s.mended(last)
}

func (r *reader) segment(s *source, segment segment) (malformed bool) {
	doc, key := r.docs.read(segment)
	for _, i := range doc.issues {
		f, at := i.finding, s.at(segment.line+i.line-1)
		f.Message = at.String() + ": " + f.Message
		if f.Object == (mesh.ObjectRef{}) {
			f.Object = s.ref()
		}
		s.findings = append(s.findings, f)
	}
	for _, e := range doc.entries {
		s.entries = append(s.entries, placed{e, s.at(segment.line + e.line - 1), key})
	}
	return doc.malformed
}

// asBefore lets count what the file said when it could be read, if it ever
// could.
func (s *source) asBefore(last *source) *source {
	if last == nil || len(last.entries) == 0 {
		return s
	}
	s.entries = last.entries
	for i := range s.findings {
		if f := &s.findings[i]; f.Severity == mesh.Error || f.Object == s.ref() {
			f.Message = sentence(f.Message, "Until this is mended the file counts as it was before")
		}
	}
	return s
}

// mended lets objects count as they were before if something is wrong with them
// now, which is what an API server does by refusing the update.
func (s *source) mended(last *source) *source {
	before := map[mesh.ObjectRef]placed{}
	if last != nil {
		for _, p := range last.entries {
			before[p.ref] = p
		}
	}
	kept := map[mesh.ObjectRef]bool{}
	for i, p := range s.entries {
		if good, ok := before[p.ref]; ok && p.broken() && !good.broken() {
			s.entries[i], kept[p.ref] = good, true
		}
	}
	for i := range s.findings {
		switch f := &s.findings[i]; {
		case f.Severity != mesh.Error || f.Object == s.ref():
		case kept[f.Object]:
			f.Message = sentence(f.Message, "The object counts as it was before")
		default:
			f.Message = sentence(f.Message, "The object is left out")
		}
	}
	return s
}

func sentence(message, next string) string {
	if strings.HasSuffix(message, "?") {
		return message + " " + next
	}
	return message + ". " + next
}

func (r *reader) content(path string) ([]byte, error) {
	if data, ok := r.streams[path]; ok {
		return data, nil
	}
	if path == Stdin {
		data, err := readAll(r.input)
		r.streams[path] = data
		return data, err
	}
	data, again, err := readFile(path)
	if !again && err == nil {
		r.streams[path] = data
	}
	return data, err
}

func (s *source) at(line int) Position {
	if s.path == Stdin {
		return Position{"stdin", line}
	}
	return Position{s.path, line}
}

// ref stands for the file where a finding is about no object.
func (s *source) ref() mesh.ObjectRef {
	return mesh.ObjectRef{Kind: "File", Name: s.at(0).File}
}

func (s *source) report(severity mesh.Severity, reason, format string, args ...any) {
	s.findings = append(s.findings, mesh.Finding{
		Severity: severity, Object: s.ref(), Reason: reason,
		Message: s.at(0).String() + ": " + fmt.Sprintf(format, args...),
	})
}

// reasonOf leaves out the path that messages begin with already.
func reasonOf(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}
