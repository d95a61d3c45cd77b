package driver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Sender carries out Requests.
type Sender struct {
	// Proxy is the host and port of the HTTP proxy that the workload was told to
	// use; empty where there is none.
	Proxy string
	// Dial connects to a Service's host and port, over network tcp or udp.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu       sync.Mutex
	sessions map[string]*connection
}

// Send carries out the request. The error says what is wrong with the request
// itself; whatever happened to it is in the Report.
func (s *Sender) Send(ctx context.Context, r *Request) (*Report, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	report := &Report{Words: map[string]int{}, Pods: map[string]int{}}
	if r.Session != "" {
		report.add(s.continueSession(ctx, r))
		return report, nil
	}
	var (
		mu      sync.Mutex
		workers sync.WaitGroup
		left    = make(chan struct{}, max(r.Count, 1))
	)
	for range max(r.Count, 1) {
		left <- struct{}{}
	}
	close(left)
	for range min(max(r.Concurrency, 1), max(r.Count, 1)) {
		workers.Go(func() {
			exchange, done := s.exchanger(r)
			defer done()
			for range left {
				if ctx.Err() != nil {
					return
				}
				a := exchange(ctx)
				mu.Lock()
				report.add(a)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if report.Sent == 0 {
		return nil, fmt.Errorf("nothing was sent: %w", ctx.Err())
	}
	return report, nil
}

func (r *Request) validate() error {
	switch {
	case r.Host == "" || r.Port == 0:
		return errors.New("host and port are needed")
	case r.Count < 0 || r.Count > MaxCount:
		return fmt.Errorf("count %d is out of range: 0 to %d", r.Count, MaxCount)
	case r.Concurrency < 0 || r.Concurrency > maxConcurrency:
		return fmt.Errorf("concurrency %d is out of range: 0 to %d", r.Concurrency, maxConcurrency)
	case r.Session != "" && r.Count > 1:
		return errors.New("a session takes one request at a time: leave count out")
	case r.Stream && r.Session == "":
		return errors.New("a stream needs a session by which it can be asked for")
	}
	if r.TLS != nil {
		if r.Protocol != "" && r.Protocol != HTTP1 && r.Protocol != TCP {
			return fmt.Errorf("a workload speaks TLS by itself with %s or %s inside, not with %s", HTTP1, TCP, r.Protocol)
		}
		if _, err := r.TLS.pair(); err != nil {
			return err
		}
	}
	switch r.Protocol {
	case "", HTTP1, WebSocket, TCP:
		return nil
	case HTTP2, GRPC, UDP:
		if r.Session != "" {
			return fmt.Errorf("sessions are of %s, %s or %s, not of %s", HTTP1, WebSocket, TCP, r.Protocol)
		}
		return nil
	}
	return fmt.Errorf("the protocol %q is not known", r.Protocol)
}

// exchanger returns what sends the request once, and what to call in the end.
func (s *Sender) exchanger(r *Request) (func(context.Context) *Answer, func()) {
	switch r.Protocol {
	case HTTP2:
		return s.http2(r)
	case GRPC:
		return s.grpc(r)
	case UDP:
		return func(ctx context.Context) *Answer { return s.udp(ctx, r) }, func() {}
	case TCP, WebSocket:
		// Each takes a connection of its own: that is what a split of TCP counts.
		return func(ctx context.Context) *Answer {
			c, err := s.connect(ctx, r)
			if err != nil {
				return failure(err)
			}
			defer c.close()
			return c.exchange(r)
		}, func() {}
	}
	kept := new(keptConnection)
	return func(ctx context.Context) *Answer { return kept.exchange(ctx, s, r) }, kept.close
}

// keptConnection is one that HTTP/1.1 requests follow each other on.
type keptConnection struct{ c *connection }

func (k *keptConnection) exchange(ctx context.Context, s *Sender, r *Request) *Answer {
	if k.c == nil {
		c, err := s.connect(ctx, r)
		if err != nil {
			return failure(err)
		}
		k.c = c
	}
	a := k.c.exchange(r)
	if k.c.done {
		k.close()
	}
	return a
}

func (k *keptConnection) close() {
	if k.c != nil {
		k.c.close()
		k.c = nil
	}
}

// connect opens a connection for the request: to the workload's HTTP proxy where
// it has one and the request may use it, else to the Service.
func (s *Sender) connect(ctx context.Context, r *Request) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	address := r.address()
	dial := s.Dial
	if s.Proxy != "" && !r.Direct && r.TLS == nil && r.Protocol != TCP {
		address, dial = s.Proxy, new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, &dialError{err}
	}
	if r.TLS != nil {
		if conn, err = r.TLS.secure(ctx, conn); err != nil {
			return nil, err
		}
	}
	return newConnection(conn), nil
}

// continueSession sends over the session's connection, which it opens for the
// session's first request.
func (s *Sender) continueSession(ctx context.Context, r *Request) *Answer {
	s.mu.Lock()
	c := s.sessions[r.Session]
	s.mu.Unlock()
	if c == nil {
		fresh, err := s.connect(ctx, r)
		if err != nil {
			return failure(err)
		}
		c = s.keep(r.Session, fresh)
	}
	return c.exchange(r)
}

// keep makes the connection the session's, unless it has one by now, and returns
// the session's.
func (s *Sender) keep(name string, fresh *connection) *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.sessions[name]; there != nil {
		fresh.close()
		return there
	}
	if s.sessions == nil {
		s.sessions = map[string]*connection{}
	}
	s.sessions[name] = fresh
	return fresh
}

// Session tells how a session's connection is.
func (s *Sender) Session(name string) (Connection, error) {
	s.mu.Lock()
	c := s.sessions[name]
	s.mu.Unlock()
	if c == nil {
		return Connection{}, fmt.Errorf("there is no session %q", name)
	}
	return c.state(), nil
}

// End closes a session's connection. One that is not there is closed already.
func (s *Sender) End(name string) {
	s.mu.Lock()
	c := s.sessions[name]
	delete(s.sessions, name)
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// dialError tells that a connection was not made.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// dial connects, and marks its errors.
func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.Dial(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

// failure tells a connection that was not made from one that was closed, and both
// from one that hangs.
func failure(err error) *Answer {
	a := &Answer{Error: err.Error()}
	var (
		timeout net.Error
		dialled *dialError
	)
	a.TimedOut = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
	switch {
	case errors.As(err, &dialled):
		a.Failure = notMade(err)
	case a.TimedOut:
	case errors.Is(err, syscall.ECONNREFUSED):
		// That is what a datagram hears which nobody takes.
		a.Failure = Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		a.Closed, a.Failure = true, Reset
	default:
		a.Closed, a.Failure = true, Ended
	}
	return a
}

// notMade says why there is no connection.
func notMade(err error) Failure {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Refused
	}
	return NotConnected
}

// cut makes the answer one that ends in its middle.
func (a *Answer) cut(err error) {
	a.Failure, a.Error = CutOff, fmt.Sprintf("the answer ends early: %v", err)
}

func deadline() time.Time { return time.Now().Add(Patience) }
