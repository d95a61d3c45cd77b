//go:build linux

package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Seen is what an application answers: who it is and what it saw.
type Seen struct {
	Pod    string
	Port   uint16
	Method string
	Path   string
	Header http.Header
	Proto  string
}

// serve runs the application of a pod.
func (p *Pod) serve(tb testing.TB) {
	for _, port := range p.Ports {
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", p.App, port))
		if err != nil {
			tb.Fatal(err)
		}
		web := make(chan net.Conn)
		server := &http.Server{Handler: p.handler(port), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		handed := &handedListener{Listener: listener, conns: web, done: make(chan struct{})}
		tb.Cleanup(func() {
			_ = listener.Close()
			_ = server.Close()
		})
		go func() { _ = server.Serve(handed) }()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go p.sniff(conn, port, handed)
			}
		}()
	}
}

// sniff tells HTTP from other bytes, which it answers as long as they come.
func (p *Pod) sniff(conn net.Conn, port uint16, web *handedListener) {
	reader := bufio.NewReader(conn)
	start, err := reader.Peek(1)
	if err != nil {
		_ = conn.Close()
		return
	}
	if start[0] >= 'A' && start[0] <= 'Z' {
		select {
		case web.conns <- &peekedConn{Conn: conn, reader: reader}:
		case <-web.done:
			_ = conn.Close()
		}
		return
	}
	defer func() { _ = conn.Close() }()
	p.answer(conn, reader, port)
}

// answer says who it is to every line.
func (p *Pod) answer(conn net.Conn, reader *bufio.Reader, port uint16) {
	for {
		if _, err := reader.ReadString('\n'); err != nil {
			return
		}
		if _, err := fmt.Fprintf(conn, "%s/%s %d\n", p.Namespace, p.Name, port); err != nil {
			return
		}
	}
}

// handler answers every path as it comes; a mux would redirect those that are
// not clean.
func (p *Pod) handler(port uint16) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, "/stream") {
			p.stream(w, r)
			return
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			p.upgrade(w, port)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Seen{
			Pod: p.Namespace + "/" + p.Name, Port: port, Method: r.Method, Path: r.RequestURI, Header: r.Header, Proto: r.Proto,
		})
	})
}

// stream answers without end, a line every tenth of a second.
func (p *Pod) stream(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := fmt.Fprintf(w, "%s/%s\n", p.Namespace, p.Name); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// upgrade takes an upgrade and answers each line, whatever protocol it is in.
func (p *Pod) upgrade(w http.ResponseWriter, port uint16) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	p.answer(conn, buffered.Reader, port)
}

// handedListener serves connections that were accepted elsewhere.
type handedListener struct {
	net.Listener
	conns chan net.Conn
	done  chan struct{}
}

// Accept returns the next connection that was handed over.
func (l *handedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the waiting for connections.
func (l *handedListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

type peekedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c *peekedConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

// Eventually asks until the answer is true, and fails the test when it is not
// within the time.
func Eventually(tb testing.TB, within time.Duration, what string, ask func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for !ask() {
		select {
		case <-ctx.Done():
			tb.Fatalf("not within %s: %s", within, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
