//go:build linux

package rig

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Answer is what came back over a connection of one request.
type Answer struct {
	// Status is that of an HTTP answer, 0 where none came.
	Status int
	// Body is its body, or the line that came back over plain TCP.
	Body string
	// Seen is what the application saw, where it answered with 200.
	Seen Seen
	// Closed tells that the connection was closed without an answer.
	Closed bool
}

// patience bounds one request.
const patience = 10 * time.Second

// HTTP sends one request, written as it is, over a connection of its own.
func HTTP(address, method, path, host string, header [][2]string) (*Answer, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, host)
	for _, h := range header {
		fmt.Fprintf(&request, "%s: %s\r\n", h[0], h[1])
	}
	if method != http.MethodGet && method != http.MethodHead {
		request.WriteString("Content-Length: 0\r\n")
	}
	request.WriteString("\r\n")
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return closedOr(err)
	}
	return readAnswer(conn, method)
}

// TCP sends a line that is no HTTP over a connection of its own, and reads one.
func TCP(address string) (*Answer, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "\x01hello\r\n"); err != nil {
		return closedOr(err)
	}
	reader := bufio.NewReader(conn)
	start, err := reader.Peek(5)
	if err != nil {
		return closedOr(err)
	}
	if string(start) == "HTTP/" {
		return readResponse(reader, http.MethodGet)
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		return closedOr(err)
	}
	return &Answer{Body: strings.TrimSpace(line)}, nil
}

func readAnswer(conn net.Conn, method string) (*Answer, error) {
	return readResponse(bufio.NewReader(conn), method)
}

func readResponse(reader *bufio.Reader, method string) (*Answer, error) {
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return closedOr(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	a := &Answer{Status: response.StatusCode, Body: string(body)}
	if a.Status == http.StatusOK && len(body) > 0 {
		if err := json.Unmarshal(body, &a.Seen); err != nil {
			return nil, fmt.Errorf("the application's answer: %w", err)
		}
	}
	return a, nil
}

// closedOr tells a connection that was closed from one that hangs.
func closedOr(err error) (*Answer, error) {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil, err
	}
	return &Answer{Closed: true}, nil
}
