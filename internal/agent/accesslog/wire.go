package accesslog

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A field's tag, as it is written ahead of its value: number and wire type in
// one. A field of another type than its message says is skipped like an unknown
// one, as protobuf demands.
const (
	varint = uint64(protowire.VarintType)
	length = uint64(protowire.BytesType)
)

// fields walks the fields of an encoded message, in the order in which they
// stand there. What it hands out are parts of the message itself.
type fields struct {
	rest []byte
	// tag, number<<3 | wire type, is that of the current field. Its value is in
	// bytes or number, by the type; values of other types are skipped.
	tag    uint64
	bytes  []byte
	number uint64
	// malformed is shared with the messages within.
	malformed *bool
}

// walk begins with a message. At what cannot be parsed next says no, and
// malformed is set.
func walk(message []byte, malformed *bool) fields {
	return fields{rest: message, malformed: malformed}
}

// within begins with the message that is the current field's value.
func (f *fields) within() fields { return walk(f.bytes, f.malformed) }

// next goes to the next field, if there is one.
func (f *fields) next() bool {
	if len(f.rest) == 0 {
		return false
	}
	number, kind, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		return f.stop()
	}
	f.rest = f.rest[n:]
	f.tag, f.bytes, f.number = protowire.EncodeTag(number, kind), nil, 0
	switch kind {
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(f.rest)
	default:
		n = protowire.ConsumeFieldValue(number, kind, f.rest)
	}
	if n < 0 {
		return f.stop()
	}
	f.rest = f.rest[n:]
	return true
}

func (f *fields) stop() bool {
	f.rest, *f.malformed = nil, true
	return false
}

// text copies at most so many bytes of a text, and no half rune. Envoy copies
// headers byte for byte into text fields; every byte that is not UTF-8 becomes
// a question mark.
func text(b []byte, most int) string {
	if len(b) > most {
		n := most
		for n > 0 && n > most-utf8.UTFMax && !utf8.RuneStart(b[n]) {
			n--
		}
		b = b[:n]
	}
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			out = append(out, '?')
		} else {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	return string(out)
}

// maxNames bounds the names that a stream remembers. They are those of a mesh's
// Services, accounts and hosts; should there be more, remembering starts over.
const maxNames = 4096

// names turns texts that come again and again into strings, each made once.
type names map[string]string

func (n names) text(b []byte) string { return n.remember(b, func() string { return text(b, maxTag) }) }

// remember returns the string for those bytes, which is made where they are new.
func (n names) remember(b []byte, form func() string) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := n[string(b)]; ok {
		return s
	}
	s := form()
	if len(b) > maxTag {
		return s
	}
	if len(n) >= maxNames {
		clear(n)
	}
	n[string(b)] = s
	return s
}
