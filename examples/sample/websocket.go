package main

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants SHA-1 here, and not as a protection
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// The parts of the WebSocket protocol (RFC 6455) that an echo needs.
const (
	// acceptSalt is the constant that the handshake's answer is computed with.
	acceptSalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	// maxFrameBytes bounds the payload of one frame.
	maxFrameBytes = 64 << 10

	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// websocket answers the handshake and sends back every frame.
func (s *server) websocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-Websocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || key == "" || r.Header.Get("Sec-Websocket-Version") != "13" {
		w.Header().Set("Sec-Websocket-Version", "13")
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this path speaks WebSocket, version 13", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "WebSocket needs HTTP/1.1 here: "+err.Error(), http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(s.ended, func() { conn.Close() })
	defer stop()
	sum := sha1.Sum([]byte(key + acceptSalt)) //nolint:gosec // see the import
	head := w.Header().Clone()
	head.Set("Upgrade", "websocket")
	head.Set("Connection", "Upgrade")
	head.Set("Sec-Websocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"); err != nil {
		return
	}
	if err := head.Write(conn); err != nil {
		return
	}
	if _, err := io.WriteString(conn, "\r\n"); err != nil {
		return
	}
	if err := echoFrames(conn, buffered.Reader); err != nil {
		s.log.Debug("WebSocket ended", "reason", err)
	}
}

// echoFrames sends back what arrives, frame by frame, until the client closes.
func echoFrames(conn net.Conn, buffered *bufio.Reader) error {
	idle := idleConn{conn}
	// What the client sent right after its handshake may be buffered already.
	early, err := buffered.Peek(buffered.Buffered())
	if err != nil {
		return err
	}
	in := bufio.NewReader(io.MultiReader(strings.NewReader(string(early)), idle))
	for {
		frame, err := readFrame(in)
		if err != nil {
			return err
		}
		switch frame.opcode() {
		case opPong:
			continue
		case opPing:
			frame.first = frame.first&^0x0F | opPong
		}
		if err := frame.write(idle); err != nil {
			return err
		}
		if frame.opcode() == opClose {
			return nil
		}
	}
}

// frame is one WebSocket frame, unmasked.
type frame struct {
	// first is the first byte: the flags and the opcode.
	first   byte
	payload []byte
}

func (f *frame) opcode() byte { return f.first & 0x0F }

// readFrame reads a frame of a client, which must be masked.
func readFrame(in io.Reader) (*frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	if head[1]&0x80 == 0 {
		return nil, errors.New("a client's frame is not masked")
	}
	length := uint64(head[1] & 0x7F)
	var err error
	switch length {
	case 126:
		var n uint16
		err = binary.Read(in, binary.BigEndian, &n)
		length = uint64(n)
	case 127:
		err = binary.Read(in, binary.BigEndian, &length)
	}
	if err != nil {
		return nil, err
	}
	if length > maxFrameBytes {
		return nil, fmt.Errorf("a frame of %d bytes is too large: at most %d", length, maxFrameBytes)
	}
	var mask [4]byte
	if _, err := io.ReadFull(in, mask[:]); err != nil {
		return nil, err
	}
	f := &frame{first: head[0], payload: make([]byte, length)}
	if _, err := io.ReadFull(in, f.payload); err != nil {
		return nil, err
	}
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, nil
}

// write sends the frame as a server does: without a mask.
func (f *frame) write(out io.Writer) error {
	head := []byte{f.first}
	switch n := len(f.payload); {
	case n < 126:
		head = append(head, byte(n))
	case n <= 0xFFFF:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	_, err := out.Write(append(head, f.payload...))
	return err
}
