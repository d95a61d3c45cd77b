package file

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// segment is the text of one document of a file.
type segment struct {
	text []byte
	// line is the number of its first line in the file.
	line int
}

// cut divides a file into its documents, without what is blank before them. A
// line of --- always begins a document and one of ... always ends it, even
// inside a block scalar. It returns false where there are more than
// maxDocuments.
func cut(data []byte) ([]segment, bool) {
	var found []segment
	line, first, start := 0, 0, 0
	inside, directives := false, false
	for at := 0; at < len(data) && len(found) <= maxDocuments; {
		line++
		next := at + lineLength(data[at:])
		text := data[at:next]
		begins := false
		switch dashes := marker(text, "---"); {
		case dashes || marker(text, "..."):
			// %YAML and %TAG lines belong to the document that the dashes begin.
			if inside && (!directives || !dashes) {
				found = append(found, segment{data[start:at], first})
				inside = false
			}
			directives = false
			begins = dashes && says(text[3:])
		case text[0] == '%' && (directives || !inside):
			directives, begins = true, true
		default:
			begins = says(text)
		}
		if begins && !inside {
			inside, start, first = true, at, line
		}
		at = next
	}
	if inside {
		found = append(found, segment{data[start:], first})
	}
	return found, len(found) <= maxDocuments
}

func lineLength(data []byte) int {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1
	}
	return len(data)
}

func marker(line []byte, sign string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(sign))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// says tells whether a line has anything but space and a comment.
func says(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#'
}

// document is what a segment says. It depends on the bytes of the segment
// alone, so that it is shared by every reading of the same bytes.
type document struct {
	entries []*entry
	issues  []issue
	// malformed tells that it could not be parsed, so that what it means to say
	// is unknown.
	malformed bool
	// values counts what was taken for objects.
	values int
}

// issue is a finding whose place is still relative to its document.
type issue struct {
	line    int
	finding mesh.Finding
}

// digest identifies the bytes of a document.
type digest = [sha256.Size]byte

// documents reads segments and remembers, from one round to the next, what they
// said: bytes that did not change keep the same objects.
type documents struct {
	readers readers
	last    map[digest]*document
	seen    map[digest]*document
}

func newDocuments(opts Options) *documents {
	return &documents{readers: newReaders(opts)}
}

// nextRound begins another round and forgets what only the one before the last saw.
func (d *documents) nextRound() {
	d.last, d.seen = d.seen, map[digest]*document{}
}

func (d *documents) read(s segment) (*document, digest) {
	key := sha256.Sum256(s.text)
	d.keep(key)
	doc, known := d.seen[key]
	if !known {
		doc = d.parse(s.text)
		d.seen[key] = doc
	}
	return doc, key
}

// keep remembers a document of the last round that still counts.
func (d *documents) keep(key digest) {
	if doc, ok := d.last[key]; ok {
		d.seen[key] = doc
	}
}

func (d *documents) parse(text []byte) *document {
	doc := &document{}
	if len(text) > MaxObjectBytes {
		switch ofInterest, isList := d.sniff(text); {
		case !ofInterest:
			return doc
		case !isList:
			return doc.refuse(1, "TooLarge", "the document has %d bytes; an object may have %d", len(text), MaxObjectBytes)
		case len(text) > MaxListBytes:
			return doc.refuse(1, "TooLarge", "the document has %d bytes; a list of objects may have %d. Write its objects as documents of their own, with --- between them", len(text), MaxListBytes)
		}
	}
	values, problem := parse(text)
	if problem != nil {
		return doc.refuse(problem.line, "Malformed", "the document is no valid YAML: %s", plain(problem.message))
	}
	for _, v := range values {
		d.object(doc, v, typeName{})
	}
	return doc
}

// kindForm begins with a literal, so that it is searched for quickly.
var kindForm = regexp.MustCompile(`kind"?[ \t]*:[ \t]*"?(\w+)`)

// sniff guesses what a large document holds without parsing it.
func (d *documents) sniff(text []byte) (ofInterest, isList bool) {
	for _, at := range kindForm.FindAllSubmatchIndex(text, -1) {
		kind := string(text[at[2]:at[3]])
		inJSON := at[0] > 0 && text[at[0]-1] == '"'
		inYAML := at[0] == 0 || text[at[0]-1] == '\n'
		if strings.HasSuffix(kind, "List") && (inJSON || inYAML) {
			return true, true
		}
		ofInterest = ofInterest || d.readers.knowKind(kind)
	}
	return ofInterest, false
}

func parse(text []byte) ([]*value, *syntaxError) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		// JSON is nearly YAML; where it is not, as in \ud83d\ude00, JSON is meant.
		if values, err := parseJSON(text); err == nil {
			return values, nil
		}
	}
	return parseYAML(text)
}

func (doc *document) report(line int, f mesh.Finding) {
	doc.issues = append(doc.issues, issue{line, f})
}

// refuse makes the document say nothing but what is wrong with it.
func (doc *document) refuse(line int, reason, format string, args ...any) *document {
	doc.malformed = true
	doc.report(line, mesh.Finding{Severity: mesh.Error, Reason: reason, Message: fmt.Sprintf(format, args...)})
	return doc
}
