package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// form is what a value is.
type form int

const (
	null form = iota
	boolean
	number
	text
	list
	object
	// invalid is what no JSON can say, such as a key given twice.
	invalid
)

const givenTwice = "it is given twice in the same object"

// value is a parsed YAML or JSON value that knows where it was written. Aliases
// share values, so it is a graph without cycles rather than a tree, and may be
// far larger when it is written out.
type value struct {
	form form
	// line counts from 1 at the beginning of the document.
	line int
	// scalar is the content of a text, the JSON of a number or boolean, and of an
	// invalid value what is wrong with it.
	scalar string
	// raw is what was written where that is something else than scalar.
	raw   string
	items []*value
	// fields have different names.
	fields []field
}

type field struct {
	name  string
	line  int
	value *value
}

// get returns the field of an object, or nil.
func (v *value) get(name string) *value {
	if v == nil || v.form != object {
		return nil
	}
	if i := slices.IndexFunc(v.fields, func(f field) bool { return f.name == name }); i >= 0 {
		return v.fields[i].value
	}
	return nil
}

// string returns the content of a text, and "" for anything else.
func (v *value) string() string {
	if v == nil || v.form != text {
		return ""
	}
	return v.scalar
}

// written returns the scalar as the file has it.
func (v *value) written() string {
	if v.raw != "" {
		return v.raw
	}
	return v.scalar
}

// describe names the value in a message.
func (v *value) describe() string {
	switch v.form {
	case null:
		return "nothing"
	case boolean:
		return v.written() + ", a boolean"
	case number:
		return shorten(v.written()) + ", a number"
	case text:
		return quote(v.scalar) + ", a string"
	case list:
		return "a list"
	default:
		return "an object"
	}
}

func quote(s string) string { return strconv.Quote(shorten(s)) }

// plain is for what is shown without quotes: it has no control characters, with
// which a file could write anything on a terminal.
func plain(s string) string {
	quoted := quote(s)
	return quoted[1 : len(quoted)-1]
}

// shorten keeps a message readable whatever the file contains.
func shorten(s string) string {
	const most = 60
	runes := []rune(s[:min(len(s), 4*most)])
	if len(s) <= 4*most && len(runes) <= most {
		return s
	}
	return string(runes[:min(len(runes), most)]) + "..."
}

// encoder writes a value as JSON, up to limits that a value with many aliases
// would exceed by far.
type encoder struct {
	buf     bytes.Buffer
	problem string
}

// encode returns the JSON of a value, or why it has none: it would be larger
// than MaxObjectBytes or nested deeper than maxDepth. Invalid values are null.
func encode(v *value) (encoded []byte, problem string) {
	e := &encoder{}
	e.value(v, 0)
	return e.buf.Bytes(), e.problem
}

func (e *encoder) value(v *value, depth int) bool {
	switch v.form {
	case boolean, number:
		return e.raw(v.scalar)
	case text:
		return e.text(v.scalar)
	case list, object:
		if depth == maxDepth {
			e.problem = fmt.Sprintf("it is nested deeper than %d levels", maxDepth)
			return false
		}
		if v.form == list {
			return e.list(v, depth)
		}
		return e.object(v, depth)
	default:
		return e.raw("null")
	}
}

func (e *encoder) list(v *value, depth int) bool {
	ok := e.raw("[")
	for i, item := range v.items {
		if !ok {
			return false
		}
		if i > 0 {
			e.raw(",")
		}
		ok = e.value(item, depth+1)
	}
	return ok && e.raw("]")
}

func (e *encoder) object(v *value, depth int) bool {
	ok := e.raw("{")
	for i, f := range v.fields {
		if !ok {
			return false
		}
		if i > 0 {
			e.raw(",")
		}
		ok = e.text(f.name) && e.raw(":") && e.value(f.value, depth+1)
	}
	return ok && e.raw("}")
}

// text leaves <, > and & as they are, because headers keep their JSON (SP-6).
func (e *encoder) text(s string) bool {
	if !e.fits(len(s)) {
		return false
	}
	quoted := json.NewEncoder(&e.buf)
	quoted.SetEscapeHTML(false)
	_ = quoted.Encode(s)            // a string always has a JSON form
	e.buf.Truncate(e.buf.Len() - 1) // a line ends it
	return e.fits(0)
}

func (e *encoder) raw(s string) bool {
	if !e.fits(len(s)) {
		return false
	}
	e.buf.WriteString(s)
	return true
}

func (e *encoder) fits(more int) bool {
	if e.buf.Len()+more > MaxObjectBytes {
		e.problem = fmt.Sprintf("written out it has more than %d bytes", MaxObjectBytes)
		return false
	}
	return true
}
