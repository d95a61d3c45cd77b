package v1alpha4

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of the headers of one match. A match beyond them is malformed.
const (
	// MaxHeaders is the largest number of header conditions.
	MaxHeaders = 64
	// MaxHeaderNameBytes is the longest name of a header.
	MaxHeaderNameBytes = 256
	// MaxHeaderValueBytes is the longest expression for a header.
	MaxHeaderValueBytes = 4096
	// MaxHeadersBytes is the largest JSON text of all headers together.
	MaxHeadersBytes = 128 << 10
)

// neverCompiles is the expression of headers that could not be read. It is no
// regular expression, so SP-1 makes its match grant nothing.
const neverCompiles = "(headers could not be read"

// HTTPHeaders are the header conditions of a match (SP-6). Their JSON form is a
// map, or a list of single-key maps, and is kept: what was read is written back
// as it was. The zero value is no condition.
//
// Reading one never fails. The schema cannot describe both forms, so an object
// with malformed headers may exist, and must not keep the other objects of the
// same list from being read. Validate tells what is wrong with it, and Entries
// never lets it match anything.
//
// +kubebuilder:object:generate=true
type HTTPHeaders struct {
	// Raw is the JSON text, nil where there is none.
	Raw []byte `json:"-"`
}

// HTTPHeader is one condition: a header and what its whole value must match.
type HTTPHeader struct {
	// Name is the header's name as it was written; case means nothing.
	Name string `json:"name"`
	// Value is the regular expression (SP-1, SP-3).
	Value string `json:"value"`
}

// NewHTTPHeaders returns the conditions in the form of a list, which every
// reader of SMI understands (SP-6).
func NewHTTPHeaders(entries ...HTTPHeader) HTTPHeaders {
	if len(entries) == 0 {
		return HTTPHeaders{}
	}
	list := make([]map[string]string, len(entries))
	for i, e := range entries {
		list[i] = map[string]string{e.Name: e.Value}
	}
	// Maps of strings always have a JSON form.
	raw, _ := json.Marshal(list)
	return HTTPHeaders{Raw: raw}
}

// Entries returns the conditions in the order in which they were written; all of
// them must hold (SP-5). A list may name a header more than once. Headers that
// Validate refuses are a single condition whose expression does not compile, so
// that a match that nobody understands grants nothing (SP-1).
func (h HTTPHeaders) Entries() []HTTPHeader {
	entries, err := h.parse()
	if err != nil {
		return []HTTPHeader{{Value: neverCompiles}}
	}
	return entries
}

// Validate returns why the headers cannot be used, or nil. It judges their form
// and size, not their expressions.
func (h HTTPHeaders) Validate() error {
	_, err := h.parse()
	return err
}

// IsZero tells whether there is nothing to write: neither conditions nor an
// empty map or list that somebody wrote.
func (h HTTPHeaders) IsZero() bool { return len(h.Raw) == 0 }

// MarshalJSON returns the form that was read.
func (h HTTPHeaders) MarshalJSON() ([]byte, error) {
	if h.IsZero() {
		return []byte("null"), nil
	}
	return h.Raw, nil
}

// UnmarshalJSON keeps the text. It never fails; see Validate.
func (h *HTTPHeaders) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		h.Raw = nil
		return nil
	}
	h.Raw = bytes.Clone(text)
	return nil
}

var errHeaderForm = errors.New("headers must be a map of names to regular expressions, or a list of maps with one name each")

func (h HTTPHeaders) parse() ([]HTTPHeader, error) {
	if h.IsZero() {
		return nil, nil
	}
	if len(h.Raw) > MaxHeadersBytes {
		return nil, fmt.Errorf("headers have %d bytes; at most %d are allowed", len(h.Raw), MaxHeadersBytes)
	}
	p := headerParser{dec: json.NewDecoder(bytes.NewReader(h.Raw))}
	if err := p.headers(); err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errHeaderForm
	}
	return p.entries, nil
}

// headerParser reads tokens rather than values, because a Go map would forget
// the order and a repeated key of a JSON object.
type headerParser struct {
	dec     *json.Decoder
	entries []HTTPHeader
}

func (p *headerParser) headers() error {
	tok, err := p.dec.Token()
	if err != nil {
		return errHeaderForm
	}
	switch tok {
	case json.Delim('{'):
		return p.object()
	case json.Delim('['):
		return p.list()
	default:
		return errHeaderForm
	}
}

func (p *headerParser) list() error {
	for p.dec.More() {
		if tok, err := p.dec.Token(); err != nil || tok != json.Delim('{') {
			return errHeaderForm
		}
		before := len(p.entries)
		if err := p.object(); err != nil {
			return err
		}
		if n := len(p.entries) - before; n != 1 {
			return fmt.Errorf("headers[%d] has %d names; give each item of the list exactly one", before, n)
		}
	}
	return p.end()
}

// object reads what follows the brace that opens an object. A map cannot say a
// name twice: of two values a reader would silently keep one.
func (p *headerParser) object() error {
	seen := map[string]bool{}
	for p.dec.More() {
		name, err := p.text()
		if err != nil {
			return err
		}
		value, err := p.text()
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("headers name %q twice in one map; a list of maps may", name)
		}
		seen[name] = true
		if err := p.add(HTTPHeader{Name: name, Value: value}); err != nil {
			return err
		}
	}
	return p.end()
}

func (p *headerParser) add(e HTTPHeader) error {
	switch {
	case e.Name == "":
		return errors.New("headers have an empty name")
	case len(e.Name) > MaxHeaderNameBytes:
		return fmt.Errorf("headers have a name of %d bytes; at most %d are allowed", len(e.Name), MaxHeaderNameBytes)
	case len(e.Value) > MaxHeaderValueBytes:
		return fmt.Errorf("headers have an expression of %d bytes for %q; at most %d are allowed", len(e.Value), e.Name, MaxHeaderValueBytes)
	case !isToken(e.Name):
		return fmt.Errorf("headers have the name %q, which no HTTP header can have", e.Name)
	case len(p.entries) == MaxHeaders:
		return fmt.Errorf("headers have more than %d conditions", MaxHeaders)
	}
	p.entries = append(p.entries, e)
	return nil
}

func (p *headerParser) text() (string, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return "", errHeaderForm
	}
	s, ok := tok.(string)
	if !ok {
		return "", errHeaderForm
	}
	return s, nil
}

func (p *headerParser) end() error {
	if _, err := p.dec.Token(); err != nil {
		return errHeaderForm
	}
	return nil
}

// isToken tells whether a name is one that RFC 9110 (5.6.2) allows a header to
// have. Pseudo-headers such as ":path" are not: they have fields of their own.
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}
