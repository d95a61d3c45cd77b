package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"time"
)

// acceptTCP hands every connection to its own goroutine, and closes it when the
// process ends.
func (s *server) acceptTCP(l net.Listener, handle func(net.Conn)) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		stop := context.AfterFunc(s.ended, func() { conn.Close() })
		go func() {
			defer stop()
			handle(conn)
		}()
	}
}

// echo waits for the client's first bytes, then says who answers and sends back
// whatever arrives.
func (s *server) echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	n, err := idleConn{conn}.Read(buf)
	if err != nil {
		return
	}
	if _, err := conn.Write(append(s.introduction(), buf[:n]...)); err != nil {
		return
	}
	copyIdle(conn)
}

// greet says who answers before it reads anything, as mail and database servers
// do, then sends back whatever arrives.
func (s *server) greet(conn net.Conn) {
	defer conn.Close()
	if _, err := conn.Write(s.introduction()); err != nil {
		return
	}
	copyIdle(conn)
}

// introduction is the first line that a TCP client reads.
func (s *server) introduction() []byte {
	line, err := json.Marshal(s.cfg.who)
	if err != nil {
		panic(err) // three strings always marshal
	}
	return append(line, '\n')
}

func copyIdle(conn net.Conn) {
	// The wrapper hides ReadFrom and WriteTo, which would bypass its deadlines.
	idle := idleConn{conn}
	_, _ = io.Copy(struct{ io.Writer }{idle}, struct{ io.Reader }{idle})
}

// idleConn ends a connection over which nothing moves for the idle timeout.
type idleConn struct{ net.Conn }

func (c idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c idleConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
