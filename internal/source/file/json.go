package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// parseJSON returns the values of a piece of JSON, one after the other as
// kubectl writes and reads them.
func parseJSON(data []byte) ([]*value, error) {
	p := &jsonParser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.dec.UseNumber()
	var values []*value
	for {
		token, err := p.token()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		v, err := p.value(token, 0)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

type jsonParser struct {
	data []byte
	dec  *json.Decoder
	// line is that of the last token, which ends at offset.
	line   int
	offset int
}

func (p *jsonParser) token() (json.Token, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	end := int(p.dec.InputOffset())
	p.line += bytes.Count(p.data[p.offset:end], []byte{'\n'})
	p.offset = end
	return token, nil
}

func (p *jsonParser) value(token json.Token, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	v := &value{line: p.line}
	switch token := token.(type) {
	case nil:
		v.form = null
	case bool:
		v.form, v.scalar = boolean, strconv.FormatBool(token)
	case json.Number:
		v.form, v.scalar = number, canonical(token)
	case string:
		v.form, v.scalar = text, token
	case json.Delim:
		if token == '{' {
			return p.object(v, depth)
		}
		return p.list(v, depth)
	}
	return v, nil
}

// canonical writes 1e3 and 1000.0 as 1000, because they may stand for integers.
func canonical(n json.Number) string {
	if _, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return n.String()
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || !bytes.ContainsAny([]byte(n), ".eE") {
		return n.String()
	}
	return formatFloat(f)
}

func (p *jsonParser) list(v *value, depth int) (*value, error) {
	v.form = list
	for {
		token, err := p.token()
		if err != nil {
			return nil, unexpectedEnd(err)
		}
		if token == json.Delim(']') {
			return v, nil
		}
		item, err := p.value(token, depth+1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, item)
	}
}

func (p *jsonParser) object(v *value, depth int) (*value, error) {
	v.form = object
	index := map[string]int{}
	for {
		token, err := p.token()
		if err != nil {
			return nil, unexpectedEnd(err)
		}
		name, isName := token.(string)
		if !isName {
			return v, nil // the closing brace; the decoder lets nothing else pass
		}
		f := field{name: name, line: p.line}
		if token, err = p.token(); err != nil {
			return nil, unexpectedEnd(err)
		}
		if f.value, err = p.value(token, depth+1); err != nil {
			return nil, err
		}
		if first, twice := index[name]; twice {
			v.fields[first].value = &value{form: invalid, line: f.line, scalar: givenTwice}
			continue
		}
		index[name] = len(v.fields)
		v.fields = append(v.fields, f)
	}
}

func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
