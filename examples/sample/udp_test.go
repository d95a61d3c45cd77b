package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/smi-project/smi/conformance/driver"
)

// TestUDP sees that each datagram which the driver sends is answered by one,
// whatever it holds, and that the port is given back in the end.
func TestUDP(t *testing.T) {
	r := start(t, nil, nil)
	at := netip.MustParseAddrPort(r.address[kindUDP])
	sender := newSender(func(string) string { return "" })
	for _, body := range []string{"hello\n", ""} {
		got, err := sender.Send(t.Context(), &driver.Request{
			Protocol: driver.UDP, Host: at.Addr().String(), Port: at.Port(), Body: body, Count: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := "bytes from " + r.cfg.who.Pod; got.Sent != 3 || got.Words[want] != 3 {
			t.Errorf("%q: %d sent, %v; want %q", body, got.Sent, got.Words, want)
		}
	}
	r.stop()
	r.wait(t)
	again, err := net.ListenPacket("udp", r.address[kindUDP])
	if err != nil {
		t.Fatalf("the port is not given back: %v", err)
	}
	again.Close()
}
