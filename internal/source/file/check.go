package file

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/smi-project/smi/internal/spelling"
	"github.com/smi-project/smi/mesh"
)

// checker compares a value with the Go type that it is decoded into. The
// decoder would name the first problem only, without its place.
type checker struct {
	kind string
	smi  bool
	// narrows tells that a field of the spec may be a restriction, so that the
	// object means more without it.
	narrows bool
	issues  []issue
}

// check reports every difference between the value and the type.
func (c *checker) check(t reflect.Type, v *value, path string) {
	if len(c.issues) >= maxIssues || v.form == null {
		return
	}
	if v.form == invalid {
		c.wrong(v, path, v.scalar)
		return
	}
	if t.Kind() == reflect.Pointer {
		c.check(t.Elem(), v, path)
		return
	}
	if readsItself(t) {
		c.checkOwnForm(t, v, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.checkStruct(t, v, path)
	case reflect.Map:
		if c.must(v, object, path, "an object") {
			for _, f := range v.fields {
				c.check(t.Elem(), f.value, join(path, f.name))
			}
		}
	case reflect.Slice:
		c.checkSlice(t, v, path)
	default:
		c.checkScalar(t, v, path)
	}
}

func (c *checker) checkStruct(t reflect.Type, v *value, path string) {
	if !c.must(v, object, path, "an object") {
		return
	}
	known := fieldsOf(t)
	for _, f := range v.fields {
		if of, ok := known[f.name]; ok {
			c.check(of, f.value, join(path, f.name))
		} else {
			c.unknown(f, path, slices.Sorted(maps.Keys(known)))
		}
	}
}

func (c *checker) checkSlice(t reflect.Type, v *value, path string) {
	if t.Elem().Kind() == reflect.Uint8 {
		c.must(v, text, path, "a string")
		return
	}
	if !c.must(v, list, path, "a list") {
		return
	}
	for i, item := range v.items {
		c.check(t.Elem(), item, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) checkScalar(t reflect.Type, v *value, path string) {
	switch t.Kind() {
	case reflect.String:
		if v.form == number || v.form == boolean {
			c.wrong(v, path, fmt.Sprintf("it is %s, and must be a string: write %s", v.describe(), quote(v.written())))
			return
		}
		c.must(v, text, path, "a string")
	case reflect.Bool:
		c.must(v, boolean, path, "true or false")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !c.must(v, number, path, "a whole number") {
			return
		}
		if _, err := strconv.ParseInt(v.scalar, 10, t.Bits()); errors.Is(err, strconv.ErrRange) {
			c.wrong(v, path, fmt.Sprintf("it is %s, which is too large for a number of %d bits", shorten(v.scalar), t.Bits()))
		} else if err != nil {
			c.wrong(v, path, fmt.Sprintf("it is %s, and must be a whole number", shorten(v.scalar)))
		}
	case reflect.Float32, reflect.Float64:
		c.must(v, number, path, "a number")
	}
}

// checkOwnForm is for types that have a form of their own, such as times and
// quantities: they are asked.
func (c *checker) checkOwnForm(t reflect.Type, v *value, path string) {
	if inside := findInvalid(v, 0); inside != nil {
		c.wrong(inside, path, inside.scalar)
		return
	}
	encoded, problem := encode(v)
	if problem != "" {
		c.wrong(v, path, problem)
		return
	}
	if err := json.Unmarshal(encoded, reflect.New(t).Interface()); err != nil {
		c.wrong(v, path, fmt.Sprintf("it is %s, which is not allowed: %s", v.describe(), shorten(err.Error())))
	}
}

func findInvalid(v *value, depth int) *value {
	if v.form == invalid || depth > maxDepth {
		return v
	}
	for _, item := range v.items {
		if found := findInvalid(item, depth+1); found != nil {
			return found
		}
	}
	for _, f := range v.fields {
		if found := findInvalid(f.value, depth+1); found != nil {
			return found
		}
	}
	return nil
}

func (c *checker) must(v *value, want form, path, name string) bool {
	if v.form == want {
		return true
	}
	c.wrong(v, path, fmt.Sprintf("it is %s, and must be %s", v.describe(), name))
	return false
}

// wrong reports a value that cannot be read, so that the object is left out.
func (c *checker) wrong(v *value, path, what string) {
	f := mesh.Finding{Severity: mesh.Error, Field: path, Reason: "WrongType"}
	if v.form == invalid {
		f.Reason = "Malformed"
	}
	if c.kind == "TrafficSplit" && strings.HasSuffix(path, ".weight") {
		f.Rule = "TS-2"
		what += "; weights are whole numbers from 0 to 2147483647"
	}
	if path != "" {
		what = path + ": " + what
	}
	f.Message = what
	c.issues = append(c.issues, issue{v.line, f})
}

// unknown reports a field that does not exist. In a resource that grants or that
// describes what is granted it may be a misspelt restriction: without it the
// object would allow more than its author meant.
func (c *checker) unknown(f field, parent string, known []string) {
	path := join(parent, f.name)
	finding := mesh.Finding{Severity: mesh.Info, Field: path, Reason: "UnknownField", Message: "unknown field " + quote(path)}
	if name := spelling.Nearest(f.name, known); name != "" {
		finding.Message += ", did you mean " + quote(join(parent, name)) + "?"
	} else {
		finding.Message += spelling.Hint(f.name, known)
	}
	switch inSpec := parent == "spec" || strings.HasPrefix(parent, "spec.") || strings.HasPrefix(parent, "spec["); {
	case c.narrows && (inSpec || parent == ""):
		finding.Severity = mesh.Error
		finding.Message = strings.TrimSuffix(finding.Message, "?") + "; without it the object might allow more than was meant"
	case c.smi:
		finding.Severity = mesh.Warning
	}
	c.issues = append(c.issues, issue{f.line, finding})
}

func join(path, name string) string {
	switch {
	case path == "":
		return plain(name)
	case strings.ContainsAny(name, ".[]/") || plain(name) != name:
		return path + "[" + quote(name) + "]"
	default:
		return path + "." + name
	}
}

var (
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func readsItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(jsonReader) || reflect.PointerTo(t).Implements(textReader) || t.Kind() == reflect.Interface
}

// fieldTypes remembers fieldsOf.
var fieldTypes sync.Map

// fieldsOf returns the fields of a struct by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldTypes.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	known := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			inlined := f.Type
			if inlined.Kind() == reflect.Pointer {
				inlined = inlined.Elem()
			}
			maps.Copy(known, fieldsOf(inlined))
		case name == "":
			known[f.Name] = f.Type
		default:
			known[name] = f.Type
		}
	}
	fieldTypes.Store(t, known)
	return known
}
