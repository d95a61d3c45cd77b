package envoy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// piece is an encoded message and a digest of it. Resources that repeat the same
// parts many times are put together from pieces, which are encoded and digested
// once: encodings of messages may be joined, and mean the fields of all. The
// bytes come in segments, which are copied once, into the resource.
type piece struct {
	segments [][]byte
	size     int
	sum      [sha256.Size]byte
}

// encode marshals a message deterministically.
func encode(message proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		// Only an invalid UTF-8 string or a missing required field does this, and
		// compile lets neither through.
		panic(fmt.Sprintf("render/envoy: %T: %v", message, err))
	}
	return b
}

func newPiece(message proto.Message) piece { return newRaw(encode(message)) }

func newRaw(b []byte) piece { return piece{[][]byte{b}, len(b), sha256.Sum256(b)} }

// bytes returns the encoding in one part.
func (p piece) bytes() []byte {
	if len(p.segments) == 1 {
		return p.segments[0]
	}
	b := make([]byte, 0, p.size)
	for _, s := range p.segments {
		b = append(b, s...)
	}
	return b
}

// assembly joins pieces to a message. Its digest is that of the pieces' digests
// and of the fields that they stand in.
type assembly struct {
	segments [][]byte
	size     int
	heads    []byte // of fields, which segments point into
	digest   []byte
}

// newAssembly has room for so many pieces.
func newAssembly(pieces int) *assembly {
	const head, note = 6, sha256.Size + 5
	return &assembly{segments: make([][]byte, 0, 2*pieces), heads: make([]byte, 0, pieces*head), digest: make([]byte, 0, pieces*note)}
}

// fields adds the fields of a piece as fields of the message.
func (a *assembly) fields(p piece) { a.add(0, p) }

// message adds a field that holds the fields of all the pieces.
func (a *assembly) message(field protowire.Number, pieces ...piece) {
	size := 0
	for _, p := range pieces {
		size += p.size
	}
	start := len(a.heads)
	a.heads = protowire.AppendTag(a.heads, field, protowire.BytesType)
	a.heads = protowire.AppendVarint(a.heads, uint64(size))
	head := a.heads[start:len(a.heads):len(a.heads)]
	a.segments = append(a.segments, head)
	a.size += len(head)
	for _, p := range pieces {
		a.add(field, p)
	}
	a.digest = append(a.digest, 0xff)
}

func (a *assembly) add(field protowire.Number, p piece) {
	a.segments = append(a.segments, p.segments...)
	a.size += p.size
	a.digest = binary.LittleEndian.AppendUint32(a.digest, uint32(field))
	a.digest = append(a.digest, p.sum[:]...)
}

func (a *assembly) piece() piece { return piece{a.segments, a.size, sha256.Sum256(a.digest)} }
