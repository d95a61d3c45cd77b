package envoy

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/smi-project/smi/mesh"
)

// template is an encoded message with holes for strings. Filling them takes a
// twentieth of the time that it takes to build the message and to encode it,
// which counts where thousands of messages differ in a name.
type template struct{ parts []templatePart }

// templatePart is one of three: a literal, a hole, or a field that has holes in
// it and so a length that depends on what fills them.
type templatePart struct {
	literal []byte
	// hole counts from 1.
	hole  int
	tag   uint64
	inner []templatePart
}

// templates are made when they are first needed, where there is one for each of
// some numbers: holes are for strings.
type templates map[templateKey]*template

// maxTemplates is how many are kept. There may be one for each port number that
// anybody has ever declared.
const maxTemplates = 1024

type templateKey struct {
	kind     string
	port     uint16
	protocol mesh.Protocol
}

func (t templates) get(key templateKey, build func() proto.Message) *template {
	if t[key] == nil {
		if len(t) >= maxTemplates {
			clear(t)
		}
		t[key] = newTemplate(build())
	}
	return t[key]
}

// hole stands in a template's message, alone or inside a string, for the n-th
// string that will fill it, counted from 1.
func hole(n int) string { return holeMark + string(rune('0'+n)) + holeMark }

const (
	holeMark = "\x01"
	holeSize = 3
)

// newTemplate prepares a message with holes. What is packed into an Any may have
// holes as well.
func newTemplate(message proto.Message) *template {
	return &template{templateParts(encode(message), message.ProtoReflect().Descriptor())}
}

// templateParts takes an encoded message of that type apart.
func templateParts(b []byte, d protoreflect.MessageDescriptor) []templatePart {
	var parts []templatePart
	literal := func(b []byte) {
		if n := len(parts); n > 0 && parts[n-1].literal != nil {
			parts[n-1].literal = append(parts[n-1].literal, b...)
			return
		}
		parts = append(parts, templatePart{literal: append([]byte(nil), b...)})
	}
	packed := ""
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		size := n + protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < n {
			panic(fmt.Sprintf("render/envoy: template of %s: %v", d.FullName(), protowire.ParseError(size-n)))
		}
		field, value := d.Fields().ByNumber(number), []byte(nil)
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(b[n:])
		}
		if d.FullName() == "google.protobuf.Any" && number == 1 {
			packed = string(value)
		}
		switch inner := innerMessage(field, packed); {
		case !strings.Contains(string(value), holeMark):
			literal(b[:size])
		case inner != nil:
			parts = append(parts, templatePart{tag: protowire.EncodeTag(number, kind), inner: templateParts(value, inner)})
		case field.IsPacked(): // numbers, one of which is that of the mark
			literal(b[:size])
		default:
			parts = append(parts, templatePart{tag: protowire.EncodeTag(number, kind), inner: stringParts(string(value))})
		}
		b = b[size:]
	}
	return parts
}

// innerMessage is the type of the message in a field, nil where it is a string.
// The value of an Any is of the type whose URL came before it.
func innerMessage(field protoreflect.FieldDescriptor, packed string) protoreflect.MessageDescriptor {
	switch {
	case field.Message() != nil:
		return field.Message()
	case packed == "" || field.Kind() != protoreflect.BytesKind:
		return nil
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByURL(packed)
	if err != nil {
		panic(fmt.Sprintf("render/envoy: template of %s: %v", packed, err))
	}
	return kind.Descriptor()
}

// stringParts takes a string with holes apart.
func stringParts(s string) []templatePart {
	var parts []templatePart
	for {
		before, after, found := strings.Cut(s, holeMark)
		if before != "" {
			parts = append(parts, templatePart{literal: []byte(before)})
		}
		if !found {
			return parts
		}
		parts = append(parts, templatePart{hole: int(after[0] - '0')})
		s = after[holeSize-1:]
	}
}

// fill appends the message with these strings in its holes.
func (t *template) fill(b []byte, values ...string) []byte {
	return fillParts(slices.Grow(b, sizeOf(t.parts, values)), t.parts, values)
}

// piece is the message with these strings in its holes.
func (t *template) piece(values ...string) piece { return newRaw(t.fill(nil, values...)) }

func fillParts(b []byte, parts []templatePart, values []string) []byte {
	for i := range parts {
		switch p := &parts[i]; {
		case p.literal != nil:
			b = append(b, p.literal...)
		case p.hole > 0:
			b = append(b, values[p.hole-1]...)
		default:
			b = protowire.AppendVarint(b, p.tag)
			b = protowire.AppendVarint(b, uint64(sizeOf(p.inner, values)))
			b = fillParts(b, p.inner, values)
		}
	}
	return b
}

func sizeOf(parts []templatePart, values []string) int {
	size := 0
	for i := range parts {
		switch p := &parts[i]; {
		case p.literal != nil:
			size += len(p.literal)
		case p.hole > 0:
			size += len(values[p.hole-1])
		default:
			size += protowire.SizeVarint(p.tag) + protowire.SizeBytes(sizeOf(p.inner, values))
		}
	}
	return size
}
