package main

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sniffTimeout is how long a client may keep its first bytes to itself before
// it is taken for one that speaks plain TCP.
const sniffTimeout = 500 * time.Millisecond

// openings are the first bytes of a connection that speaks HTTP: a method that
// everybody knows, or the beginning of HTTP/2's preface.
var openings = []string{
	"PRI * HTTP/2.0\r\n",
	http.MethodGet + " ", http.MethodHead + " ", http.MethodPost + " ", http.MethodPut + " ", http.MethodPatch + " ",
	http.MethodDelete + " ", http.MethodConnect + " ", http.MethodOptions + " ", http.MethodTrace + " ",
}

// sniff looks at a connection's first bytes and serves it as HTTP or as echo.
func (s *server) sniff(conn net.Conn, web *handover) {
	seen := &sniffedConn{Conn: conn, first: bufio.NewReaderSize(conn, 4096)}
	if err := conn.SetReadDeadline(time.Now().Add(sniffTimeout)); err != nil {
		conn.Close()
		return
	}
	isHTTP := seen.opensHTTP()
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		conn.Close()
		return
	}
	if isHTTP {
		web.put(seen)
		return
	}
	s.echo(seen)
}

// sniffedConn is a connection some of whose bytes were looked at already.
type sniffedConn struct {
	net.Conn
	first *bufio.Reader
}

func (c *sniffedConn) Read(p []byte) (int, error) { return c.first.Read(p) }

// opensHTTP reads no more bytes than it takes to tell HTTP from anything else.
func (c *sniffedConn) opensHTTP() bool {
	for n := 1; ; n++ {
		begun, err := c.first.Peek(n)
		if err != nil {
			return false
		}
		possible := false
		for _, opening := range openings {
			if string(begun) == opening {
				return true
			}
			possible = possible || strings.HasPrefix(opening, string(begun))
		}
		if !possible {
			return false
		}
	}
}

// handover is a listener whose connections were accepted elsewhere.
type handover struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newHandover(address net.Addr) *handover {
	return &handover{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// put passes a connection to Accept, or closes it where nobody accepts any more.
func (h *handover) put(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		conn.Close()
	}
}

// Accept returns the next connection that was put.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept fail; connections that were accepted stay open.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is the address of the listener that accepted the connections.
func (h *handover) Addr() net.Addr { return h.address }
