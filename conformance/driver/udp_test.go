package driver

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

// answerer answers each datagram with the text, until the test ends.
func answerer(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 1024)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo([]byte(text+string(buffer[:n])), from); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestUDP tells an answer of an application from one of somebody else, and from
// none.
func TestUDP(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.LocalAddr().(*net.UDPAddr).AddrPort()
	closed.Close()
	sender := &Sender{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	for name, c := range map[string]struct {
		to   netip.AddrPort
		word string
		body string
	}{
		"an application": {answerer(t, `{"pod":"shop/web"}`+"\n"), "bytes from shop/web", "{\"pod\":\"shop/web\"}\n"},
		"somebody else":  {answerer(t, "you said "), "bytes", "you said hello"},
		"nobody":         {nobody, "refused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Request{Protocol: UDP, Host: c.to.Addr().String(), Port: c.to.Port()}
			if c.word == "bytes" {
				r.Body = "hello"
			}
			got, err := sender.Send(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got.First.Word() != c.word || got.First.Body != c.body || got.Sent != 1 {
				t.Errorf("%d times %q, body %q; want %q, %q", got.Sent, got.First.Word(), got.First.Body, c.word, c.body)
			}
		})
	}
}
