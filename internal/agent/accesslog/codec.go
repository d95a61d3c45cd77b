package accesslog

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is gRPC's own, but for messages of the access log, which it leaves
// encoded.
//
// They are big, they come by the thousand, and most of what is in them nobody
// wants. Besides, Envoy copies some headers, such as x-request-id, byte for byte
// into their text fields, and protobuf refuses a whole message for one byte
// there that is not UTF-8: a peer could keep what it does, and what others did
// within the same second, out of the log.
type codec struct{ encoding.CodecV2 }

// batch is a message of the access log, encoded. It is valid until the next one
// is received.
type batch struct{ bytes []byte }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*batch)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if need := data.Len(); need > cap(b.bytes) {
		b.bytes = make([]byte, need)
	}
	b.bytes = b.bytes[:data.Len()]
	data.CopyTo(b.bytes)
	return nil
}

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }
