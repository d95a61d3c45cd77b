package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// running is a server that serves a port of every kind.
type running struct {
	*server
	address map[portKind]string
	// stop tells it to stop, done brings the result of serve.
	stop context.CancelFunc
	done chan error
}

// start serves on loopback; adjust may change the configuration first.
func start(t *testing.T, env map[string]string, adjust func(*config)) *running {
	t.Helper()
	cfg := &config{
		who: who{Pod: "bookstore-v1-0", Service: "bookstore", Version: "v1"}, address: "127.0.0.1",
		ports: map[portKind]portList{kindHTTP: {0}, kindGRPC: {0}, kindAny: {0}, kindTCP: {0}, kindGreet: {0}, kindUDP: {0}},
		grace: patience,
	}
	if adjust != nil {
		adjust(cfg)
	}
	log := slog.New(slog.DiscardHandler)
	r := &running{address: map[portKind]string{}, done: make(chan error, 1)}
	r.server = newServer(cfg, newCaller(func(name string) string { return env[name] }), log)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	if err := r.listen(ctx); err != nil {
		t.Fatal(err)
	}
	for l, kind := range r.listeners {
		r.address[kind] = l.Addr().String()
	}
	for _, p := range r.packets {
		r.address[kindUDP] = p.LocalAddr().String()
	}
	go func() { r.done <- r.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		r.end()
	})
	return r
}

// wait waits for serve to return.
func (r *running) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(patience):
		t.Error("serve did not return")
	}
}

// clientOf returns a client that speaks one version of HTTP only.
func clientOf(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// expectLine reads a line and compares it.
func expectLine(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	got, err := in.ReadString('\n')
	if err != nil || got != want+"\n" {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

const introduction = `{"pod":"bookstore-v1-0","service":"bookstore","version":"v1"}`

func TestHTTPEcho(t *testing.T) {
	r := start(t, nil, nil)
	for _, c := range []struct {
		name, protocol string
		kind           portKind
		http2          bool
	}{
		{"HTTP/1.1", "HTTP/1.1", kindHTTP, false},
		{"h2c", "HTTP/2.0", kindHTTP, true},
		{"HTTP/1.1 on an undeclared port", "HTTP/1.1", kindAny, false},
		{"h2c on an undeclared port", "HTTP/2.0", kindAny, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest("PUT", "http://"+r.address[c.kind]+"/a/../b//c%2Fd?x=1", strings.NewReader("four"))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "bookstore.bookstore:9080"
			req.Header.Set("X-Beta", "true")
			req.Header.Set("X-Forwarded-Client-Cert", "Hash=ab;URI=spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer")
			res, err := clientOf(t, c.http2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var got reply
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got.who != r.cfg.who || res.Header.Get("X-Pod") != got.Pod {
				t.Errorf("answered by %+v, header %q", got.who, res.Header.Get("X-Pod"))
			}
			if got.Method != "PUT" || got.Path != "/a/../b//c%2Fd" || got.Query != "x=1" || got.Host != "bookstore.bookstore:9080" {
				t.Errorf("the request is not told as it was sent: %+v", got)
			}
			if got.Protocol != c.protocol || got.BodyBytes != 4 || got.Headers["x-beta"][0] != "true" {
				t.Errorf("the request is not told as it was sent: %+v", got)
			}
			if want := "spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer"; got.Principal != want {
				t.Errorf("principal %q, want %q", got.Principal, want)
			}
		})
	}
}

func TestHTTPPaths(t *testing.T) {
	r := start(t, nil, nil)
	client := clientOf(t, false)
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/healthz", 200, "ok\n"},
		{"/status/503", 503, "bookstore-v1-0"},
		{"/status/204", 204, ""},
		{"/status/100", 400, "from 200 to 599"},
		{"/status/abc", 400, "from 200 to 599"},
		{"/delay?ms=1", 200, "/delay"},
		{"/delay?ms=60001", 400, "from 0 to 60000"},
		{"/stream", 200, "bookstore-v1-0 0\n"},
		{"/stream?seconds=601", 400, "from 0 to 600"},
		{"/ws", 426, "WebSocket"},
		{"/call?url=ftp://x", 400, "neither"},
		{"/call?url=tcp://x", 400, "no port"},
		{"/call?n=1001&url=http://x", 400, "from 1 to 1000"},
		{"/call?header=nonsense&url=http://x", 400, "NAME:VALUE"},
	} {
		res, err := client.Get("http://" + r.address[kindHTTP] + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.code || !strings.Contains(string(body), c.body) {
			t.Errorf("%s: %d %q, %v; want %d %q", c.path, res.StatusCode, body, err, c.code, c.body)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	r := start(t, nil, nil)
	res, err := clientOf(t, false).Post("http://"+r.address[kindHTTP]+"/", "", strings.NewReader(strings.Repeat("x", maxBodyBytes+1)))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestStreamWritesALineASecond(t *testing.T) {
	r := start(t, nil, nil)
	res, err := clientOf(t, true).Get("http://" + r.address[kindHTTP] + "/stream?seconds=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	expectLine(t, in, "bookstore-v1-0 0")
	expectLine(t, in, "bookstore-v1-0 1")
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the last line: %v", err)
	}
}

func TestTCP(t *testing.T) {
	r := start(t, nil, nil)
	for name, c := range map[string]struct {
		kind portKind
		send string
	}{
		"echo":                        {kindTCP, "hello\n"},
		"echo on an undeclared port":  {kindAny, "hello\n"},
		"begins like HTTP, but isn't": {kindAny, "GETTING\n"},
		"stops within a method":       {kindAny, "GE"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := dial(t, r.address[c.kind])
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			expectLine(t, in, introduction)
			if !strings.HasSuffix(c.send, "\n") {
				if _, err := io.WriteString(conn, "\n"); err != nil {
					t.Fatal(err)
				}
			}
			expectLine(t, in, strings.TrimSuffix(c.send, "\n"))
		})
	}
	t.Run("server speaks first", func(t *testing.T) {
		conn, in := dial(t, r.address[kindGreet])
		expectLine(t, in, introduction)
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			t.Fatal(err)
		}
		expectLine(t, in, "hello")
	})
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	r := start(t, nil, nil)
	_, open := dial(t, r.address[kindGreet])
	expectLine(t, open, introduction)
	res, err := clientOf(t, false).Get("http://" + r.address[kindHTTP] + "/stream?seconds=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	expectLine(t, in, "bookstore-v1-0 0")
	r.stop()
	expectLine(t, in, "bookstore-v1-0 1")
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the request under way was cut off: %v", err)
	}
	r.wait(t)
	if _, err := open.ReadByte(); err == nil {
		t.Error("the TCP connection is still open")
	}
}

func TestShutdownEndsStreamsAfterTheGrace(t *testing.T) {
	r := start(t, nil, func(c *config) { c.grace = 50 * time.Millisecond })
	res, err := clientOf(t, false).Get("http://" + r.address[kindHTTP] + "/stream?seconds=600")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r.stop()
	r.wait(t)
}
