package driver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// connection is one over which requests follow each other.
type connection struct {
	mu      sync.Mutex
	conn    net.Conn
	in      *bufio.Reader
	counter *counter
	// done tells that no further request can be sent.
	done bool
}

// counter counts what is read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func newConnection(conn net.Conn) *connection {
	counted := &counter{Reader: conn}
	return &connection{conn: conn, in: bufio.NewReader(counted), counter: counted}
}

func (c *connection) close() { c.conn.Close() }

// exchange sends one request and reads its answer.
func (c *connection) exchange(r *Request) *Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetDeadline(deadline()); err != nil {
		return failure(err)
	}
	if r.Protocol == TCP {
		return c.exchangeBytes(r)
	}
	if _, err := io.WriteString(c.conn, r.text()); err != nil {
		c.done = true
		// What was answered before the connection was closed is still to be read.
		if a := c.readResponse(r); !a.Closed {
			return a
		}
		return failure(err)
	}
	return c.readResponse(r)
}

// text is the request as HTTP/1.1.
func (r *Request) text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method(), r.path(), r.authority())
	if r.Protocol == WebSocket {
		// The key is the example of RFC 6455: any 16 bytes will do.
		text.WriteString("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	}
	for _, h := range r.Header {
		fmt.Fprintf(&text, "%s: %s\r\n", h[0], h[1])
	}
	if r.Body != "" || r.method() != http.MethodGet && r.method() != http.MethodHead {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(r.Body))
	}
	text.WriteString("\r\n")
	text.WriteString(r.Body)
	return text.String()
}

// readResponse reads an HTTP/1.1 answer.
func (c *connection) readResponse(r *Request) *Answer {
	response, err := http.ReadResponse(c.in, &http.Request{Method: r.method()})
	if err != nil {
		c.done = true
		return failure(err)
	}
	a := &Answer{Status: response.StatusCode, Header: lowerNames(response.Header), Pod: response.Header.Get("X-Pod")}
	if r.Stream || response.StatusCode == http.StatusSwitchingProtocols {
		// What follows is asked for by state.
		return a
	}
	defer response.Body.Close()
	c.done = c.done || response.Close
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		c.done = true
		a.cut(err)
	}
	a.takeBody(body)
	return a
}

// exchangeBytes sends bytes, where there are any to send, and reads a line.
func (c *connection) exchangeBytes(r *Request) *Answer {
	if !r.Silent {
		text := r.Body
		if text == "" {
			text = "hello\n"
		}
		if _, err := io.WriteString(c.conn, text); err != nil {
			c.done = true
			return failure(err)
		}
	}
	line, err := c.in.ReadString('\n')
	if line == "" && err != nil {
		c.done = true
		return failure(err)
	}
	a := &Answer{}
	a.takeBody([]byte(strings.TrimSpace(line)))
	if err != nil {
		c.done = true
		a.cut(err)
	}
	return a
}

// takeBody keeps the body, and reads who answered and what was seen.
func (a *Answer) takeBody(body []byte) {
	a.Body = string(body)
	seen := new(Seen)
	if json.Unmarshal(body, seen) == nil && seen.Pod != "" {
		a.Seen, a.Pod = seen, seen.Pod
	}
}

// glance is how long state reads bytes that may be there.
const glance = 5 * time.Millisecond

// state reads what has arrived and tells whether the connection is open. However
// much arrives, it reads no longer than a glance, as requests wait for it.
func (c *connection) state() Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := c.conn.SetReadDeadline(time.Now().Add(glance)) == nil
	for buffer := make([]byte, 4096); open; {
		if _, err := c.in.Read(buffer); err != nil {
			var timeout net.Error
			open = errors.As(err, &timeout) && timeout.Timeout()
			break
		}
	}
	return Connection{Open: open, Bytes: c.counter.n}
}

func lowerNames(h http.Header) map[string][]string {
	lower := make(map[string][]string, len(h))
	for name, values := range h {
		key := strings.ToLower(name)
		lower[key] = append(lower[key], values...)
	}
	return lower
}
