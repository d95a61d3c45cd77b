package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// listening hands each connection to serve, and closes it after that.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// says reads what a request brings at once, and answers.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		buffer := make([]byte, 4096)
		if _, err := conn.Read(buffer); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// resets ends the connection so that the other side learns that it is no end.
func resets(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
	_ = conn.(*net.TCPConn).SetLinger(0)
}

// to is a sender all of whose connections lead to the address.
func to(address string) *Sender {
	return &Sender{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

// nowhere is a sender that makes no connection.
func nowhere(err error) *Sender {
	return &Sender{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
}

// TestFailures tells what was not made from what was closed, how that was closed,
// and half an answer from a whole one.
func TestFailures(t *testing.T) {
	const (
		line = `{"pod":"shop/web"}` + "\n"
		head = "HTTP/1.1 200 OK\r\nX-Pod: shop/web\r\n"
	)
	for name, test := range map[string]struct {
		sender   *Sender
		protocol Protocol
		word     string
		failure  Failure
		closed   bool
		by       int // answers that count for shop/web
	}{
		"bytes":                {to(listening(t, says(line))), TCP, "bytes from shop/web", "", false, 1},
		"half a line":          {to(listening(t, says("220 "))), TCP, "cut off", CutOff, false, 0},
		"a line without end":   {to(listening(t, says(strings.TrimSpace(line)))), TCP, "cut off", CutOff, false, 0},
		"closed":               {to(listening(t, says(""))), TCP, "closed", Ended, true, 0},
		"reset":                {to(listening(t, resets)), TCP, "closed", Reset, true, 0},
		"refused":              {nowhere(syscall.ECONNREFUSED), TCP, "refused", Refused, false, 0},
		"no way":               {nowhere(errors.New("no such host")), TCP, "not connected", NotConnected, false, 0},
		"no way in time":       {nowhere(context.DeadlineExceeded), TCP, "not connected", NotConnected, false, 0},
		"an answer":            {to(listening(t, says(head+"Content-Length: 4\r\n\r\nbody"))), HTTP1, "200 from shop/web", "", false, 1},
		"half a body":          {to(listening(t, says(head+"Content-Length: 9\r\n\r\nbody"))), HTTP1, "cut off", CutOff, false, 0},
		"half a chunk":         {to(listening(t, says(head+"Transfer-Encoding: chunked\r\n\r\n9\r\nbody"))), HTTP1, "cut off", CutOff, false, 0},
		"a failure":            {to(listening(t, says("HTTP/1.1 500 No\r\nX-Pod: shop/web\r\nContent-Length: 0\r\n\r\n"))), HTTP1, "500 from shop/web", "", false, 0},
		"HTTP, closed":         {to(listening(t, says(""))), HTTP1, "closed", Ended, true, 0},
		"HTTP, refused":        {nowhere(syscall.ECONNREFUSED), HTTP1, "refused", Refused, false, 0},
		"HTTP/2, refused":      {nowhere(syscall.ECONNREFUSED), HTTP2, "refused", Refused, false, 0},
		"HTTP/2, no way":       {nowhere(errors.New("no such host")), HTTP2, "not connected", NotConnected, false, 0},
		"gRPC, refused":        {nowhere(syscall.ECONNREFUSED), GRPC, "refused", Refused, false, 0},
		"UDP, no way":          {nowhere(errors.New("no such host")), UDP, "not connected", NotConnected, false, 0},
		"WebSocket, refused":   {nowhere(syscall.ECONNREFUSED), WebSocket, "refused", Refused, false, 0},
		"on a session, no way": {nowhere(errors.New("no such host")), HTTP1, "not connected", NotConnected, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Request{Protocol: test.protocol, Host: "web.shop", Port: 80, Body: "hello\n"}
			if strings.HasPrefix(name, "on a session") {
				r.Session = "one"
			}
			got, err := test.sender.Send(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			a := got.First
			if a.Word() != test.word || a.Failure != test.failure || a.Closed != test.closed || got.Pods["shop/web"] != test.by || got.Words[test.word] != 1 {
				t.Errorf("%q: failure %q, closed %t, pods %v, words %v; wanted %+v", a.Word(), a.Failure, a.Closed, got.Pods, got.Words, test)
			}
			if (a.Failure == "") != (a.Error == "") {
				t.Errorf("the failure is %q and the error %q", a.Failure, a.Error)
			}
		})
	}
}

// TestCutOffHTTP2 tells half an answer from a whole one there as well.
func TestCutOffHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Pod", "shop/web")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	got, err := to(server.Listener.Addr().String()).Send(t.Context(), &Request{Protocol: HTTP2, Host: "web.shop", Port: 80})
	if err != nil || got.First.Word() != "cut off" || len(got.Pods) != 0 || got.First.Status != 200 {
		t.Errorf("%v: %+v", err, got)
	}
}

// TestCodesOfApplications tells an application's code from a mesh's.
func TestCodesOfApplications(t *testing.T) {
	for pod, word := range map[string]string{"": "PermissionDenied", "shop/web": "PermissionDenied from shop/web"} {
		server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			if pod != "" {
				stream.SetTrailer(metadata.Pairs("x-pod", pod))
			}
			return status.Error(codes.PermissionDenied, "no")
		}))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		go func() { _ = server.Serve(listener) }()
		got, err := to(listener.Addr().String()).Send(t.Context(), &Request{Protocol: GRPC, Host: "web.shop", Port: 80, Path: "/a.B/C"})
		if err != nil || got.First.Word() != word || got.First.Pod != pod || len(got.Pods) != 0 {
			t.Errorf("%v: %+v; wanted %q", err, got, word)
		}
	}
}

// TestSessionsOpenOnce sees that two first requests of a session leave one
// connection, and that the end of the session closes it.
func TestSessionsOpenOnce(t *testing.T) {
	const senders = 8
	var open sync.WaitGroup
	address := listening(t, func(conn net.Conn) {
		defer open.Done()
		_, _ = io.Copy(conn, conn) // until it is closed
	})
	var meet sync.WaitGroup // all have found no session
	meet.Add(senders)
	s := &Sender{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		meet.Done()
		meet.Wait()
		open.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	var sent sync.WaitGroup
	for range senders {
		sent.Go(func() {
			got, err := s.Send(t.Context(), &Request{Protocol: TCP, Host: "web.shop", Port: 80, Session: "one"})
			if err != nil || got.First.Body != "hello" {
				t.Errorf("%v: %+v", err, got)
			}
		})
	}
	sent.Wait()
	s.End("one")
	open.Wait()
}

// flood is a connection over which bytes come whenever somebody reads in time.
type flood struct {
	net.Conn
	until time.Time
	looks int // deadlines that were set
	ended chan struct{}
}

func (f *flood) SetReadDeadline(t time.Time) error {
	f.until = t
	f.looks++
	return nil
}

func (f *flood) Read(p []byte) (int, error) {
	select {
	case <-f.ended:
		return 0, io.EOF
	default:
	}
	if !time.Now().Before(f.until) {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

// TestStateOfWhatFlows sees that a connection over which bytes come all the time
// is said to be open, by and by.
func TestStateOfWhatFlows(t *testing.T) {
	conn := &flood{ended: make(chan struct{})}
	defer close(conn.ended)
	told := make(chan Connection, 1)
	go func() { told <- newConnection(conn).state() }()
	select {
	case got := <-told:
		if !got.Open || got.Bytes == 0 || conn.looks != 1 {
			t.Errorf("%+v after %d looks; wanted it to be open after one", got, conn.looks)
		}
	case <-time.After(Patience):
		t.Error("it is still being read")
	}
}

// TestReportsInFull sees that a driver which tells of fewer requests than were
// ordered, or of more, is not believed.
func TestReportsInFull(t *testing.T) {
	for sent, want := range map[int]string{0: "tells of 0", 3: "tells of 3", 4: "", 5: "tells of 5"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"sent": %d}`, sent)
		}))
		t.Cleanup(server.Close)
		client := NewClient(func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
		})
		_, err := client.Send(t.Context(), &Request{Host: "web.shop", Port: 80, Count: 4})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("of %d sent: %v; wanted %q", sent, err, want)
		}
	}
}
