package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
)

// masked is a client's frame.
func masked(first byte, payload string) []byte {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n <= 0xFFFF:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	out := append(head, mask...)
	for i := range len(payload) {
		out = append(out, payload[i]^mask[i%4])
	}
	return out
}

func TestWebSocket(t *testing.T) {
	r := start(t, nil, nil)
	conn, in := dial(t, r.address[kindAny])
	// The handshake is that of the example in RFC 6455, section 1.3; the first
	// frame follows it without waiting for the answer.
	request := "GET /ws HTTP/1.1\r\nHost: bookstore\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	if _, err := conn.Write(append([]byte(request), masked(0x81, "hello")...)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || res.Header.Get("X-Pod") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	long, longer := strings.Repeat("x", 1000), strings.Repeat("y", maxFrameBytes)
	for _, c := range []struct {
		sent []byte
		want frame
	}{
		{nil, frame{0x81, []byte("hello")}},
		{masked(0x82, long), frame{0x82, []byte(long)}},
		{masked(0x82, longer), frame{0x82, []byte(longer)}},
		{append(masked(0x8A, "unasked pong"), masked(0x89, "ping")...), frame{0x8A, []byte("ping")}},
		{masked(0x88, "\x03\xe8"), frame{0x88, []byte("\x03\xe8")}},
	} {
		if _, err := conn.Write(c.sent); err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := c.want.write(&want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%v; got %.20q want %.20q", err, got, want.Bytes())
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the close frame: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(masked(0x81, "hello"))
	f.Add(masked(0x82, strings.Repeat("x", 70000)))
	f.Add([]byte{0x81, 0x05, 'h'})
	f.Add([]byte{0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readFrame(bytes.NewReader(data))
		if err == nil && len(got.payload) > min(len(data), maxFrameBytes) {
			t.Errorf("%d bytes of payload out of %d", len(got.payload), len(data))
		}
	})
}
