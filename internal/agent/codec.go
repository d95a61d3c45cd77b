package agent

import (
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tolerantCodec is gRPC's own codec, and reads text that is not UTF-8 as well.
//
// Envoy copies some headers, such as x-request-id, byte for byte into the text
// fields of its access log. A Go server refuses the whole message for one such
// byte, so that a peer could keep what it does, and what others did within the
// same second, out of the log.
type tolerantCodec struct{ encoding.CodecV2 }

func newTolerantCodec() tolerantCodec { return tolerantCodec{encoding.GetCodecV2(grpcproto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c tolerantCodec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	message, ok := v.(proto.Message)
	if err == nil || !ok {
		return err
	}
	plain := data.Materialize()
	makeText(plain, message.ProtoReflect().Descriptor())
	if proto.Unmarshal(plain, message) != nil {
		return err
	}
	return nil
}

// makeText overwrites every byte of a text field that is not UTF-8 with a
// question mark, in an encoded message and those within it. Lengths stay as
// they are. What cannot be parsed it leaves.
func makeText(b []byte, message protoreflect.MessageDescriptor) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(number, kind, b)
		if n < 0 {
			return
		}
		if field := message.Fields().ByNumber(number); field != nil && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[:n])
			switch field.Kind() {
			case protoreflect.StringKind:
				overwriteInvalid(value)
			case protoreflect.MessageKind:
				makeText(value, field.Message())
			}
		}
		b = b[n:]
	}
}

func overwriteInvalid(text []byte) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			text[0] = '?'
		}
		text = text[size:]
	}
}
