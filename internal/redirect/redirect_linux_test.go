package redirect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/netlab"
	"github.com/smi-project/smi/internal/redirect"
	"github.com/smi-project/smi/internal/sidecar"
)

// answer lets whoever connects know who is there.
func answer(l net.Listener, who string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, who)
		_ = conn.Close()
	}
}

// pods are a redirected pod, in which plain listeners stand for the sidecar and
// the application, and a plain one.
func pods(t *testing.T, o redirect.Options) (redirected, plain *netlab.Namespace) {
	t.Helper()
	lab := netlab.New(t)
	redirected, plain = lab.Pod("redirected"), lab.Pod("plain")
	redirected.Must(t, func() error { return redirect.Apply(context.Background(), o) })
	for who, addresses := range map[string][]string{
		"outbound":    {"127.0.0.1:15001", "[::1]:15001"},
		"inbound":     {"0.0.0.0:15006", "[::]:15006"},
		"application": {"0.0.0.0:8080", "[::]:8080", "0.0.0.0:9090", "0.0.0.0:15020"},
	} {
		for _, address := range addresses {
			network := "tcp4"
			if strings.HasPrefix(address, "[") {
				network = "tcp6"
			}
			var l net.Listener
			redirected.Must(t, func() (err error) {
				l, err = net.Listen(network, address)
				return err
			})
			t.Cleanup(func() { _ = l.Close() })
			go answer(l, who)
		}
	}
	go answer(plain.Listen(t, ":8080"), "plain")
	go answer(plain.Listen(t, ":9090"), "plain")
	return redirected, plain
}

// reached tells who answers a connection.
func reached(n *netlab.Namespace, from netlab.Source, address netip.Addr, port uint16) string {
	conn, err := n.DialFrom(from, "tcp", netip.AddrPortFrom(address, port).String())
	var slow net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &slow) && slow.Timeout():
		return "nobody"
	case err != nil:
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	who, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(who)
}

func TestWhoGetsAConnection(t *testing.T) {
	a, b := pods(t, redirect.Options{Redirection: sidecar.Redirection{
		ExcludeInbound: []uint16{9090}, ExcludeOutbound: []uint16{9090}, ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.78.0.0/24")},
	}})
	application, proxy := netlab.Source{}, netlab.Source{User: sidecar.UserID}
	delivery := func(address string) netlab.Source {
		return netlab.Source{User: sidecar.UserID, Address: net.ParseIP(address)}
	}
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	// A neighbour can send to whatever address it likes.
	delivery4, delivery6 := netip.MustParseAddr(sidecar.DeliveryIPv4), netip.MustParseAddr(sidecar.DeliveryIPv6)
	b.Send(t, v4, a.IPv4)
	b.Send(t, delivery4, a.IPv4)
	b.Send(t, delivery6, a.IPv6)
	for _, c := range []struct {
		name    string
		in      *netlab.Namespace
		from    netlab.Source
		address netip.Addr
		port    uint16
		want    string
	}{
		{"a port of the application, from outside", b, application, a.IPv4, 8080, "inbound"},
		{"the same over IPv6", b, application, a.IPv6, 8080, "inbound"},
		{"a port that nobody serves, from outside", b, application, a.IPv4, 8081, "inbound"},
		{"an excluded port, from outside", b, application, a.IPv4, 9090, "application"},
		{"a port that the sidecar serves itself", b, application, a.IPv4, sidecar.PortMetrics, "application"},
		{"the sidecar's inbound port itself", b, application, a.IPv4, sidecar.PortInbound, "refused"},
		{"the same over IPv6 ", b, application, a.IPv6, sidecar.PortInbound, "refused"},
		{"the sidecar's outbound port itself", b, application, a.IPv4, sidecar.PortOutbound, "refused"},
		{"the sidecar's inbound port, from inside", a, application, a.IPv4, sidecar.PortInbound, "refused"},
		{"the sidecar's outbound port, from inside", a, application, v4, sidecar.PortOutbound, "refused"},
		{"the loopback, from outside", b, application, v4, 8080, "nobody"},
		{"the address that the sidecar delivers from, from outside", b, application, delivery4, 8080, "nobody"},
		{"the same over IPv6  ", b, application, delivery6, 8080, "nobody"},
		{"the sidecar's metrics, by the loopback, from outside", b, application, v4, sidecar.PortMetrics, "nobody"},

		{"another pod, by the application", a, application, b.IPv4, 8080, "outbound"},
		{"another pod, by the application, over IPv6", a, application, b.IPv6, 8080, "outbound"},
		{"an address that nobody has", a, application, netip.MustParseAddr("10.99.0.1"), 80, "outbound"},
		{"an excluded port, by the application", a, application, b.IPv4, 9090, "plain"},
		{"another pod, by the sidecar", a, proxy, b.IPv4, 8080, "plain"},
		{"another pod, by the sidecar, over IPv6", a, proxy, b.IPv6, 8080, "plain"},

		{"the application's loopback, by itself", a, application, v4, 8080, "application"},
		{"the application's loopback, by itself, over IPv6", a, application, v6, 8080, "application"},
		{"the own address, by the application", a, application, a.IPv4, 8080, "application"},
		{"the own address, by the sidecar", a, proxy, a.IPv4, 8080, "inbound"},
		{"the own address, by the sidecar, over IPv6", a, proxy, a.IPv6, 8080, "inbound"},
		{"the own address, delivered", a, delivery(sidecar.DeliveryIPv4), a.IPv4, 8080, "application"},
		{"the own address, delivered, over IPv6", a, delivery(sidecar.DeliveryIPv6), a.IPv6, 8080, "application"},
		{"the loopback, by the sidecar", a, proxy, v4, 8080, "application"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := reached(c.in, c.from, c.address, c.port); got != c.want {
				t.Errorf("%s port %d reaches %s, want %s", c.address, c.port, got, c.want)
			}
		})
	}
}

// Who applies it again changes everything at once, and who removes it leaves
// nothing.
func TestApplyReplacesAndRemoveRemoves(t *testing.T) {
	a, b := pods(t, redirect.Options{})
	expect := func(when, want string) {
		t.Helper()
		if got := reached(b, netlab.Source{}, a.IPv4, 8080); got != want {
			t.Errorf("%s, port 8080 reaches %s, want %s", when, got, want)
		}
	}
	expect("redirected", "inbound")
	a.Must(t, func() error {
		return redirect.Apply(context.Background(), redirect.Options{Redirection: sidecar.Redirection{ExcludeInbound: []uint16{8080}}})
	})
	expect("excluded", "application")
	a.Must(t, func() error { return redirect.Apply(context.Background(), redirect.Options{}) })
	expect("redirected again", "inbound")
	for range 2 {
		a.Must(t, func() error { return redirect.Remove(context.Background()) })
	}
	expect("removed", "application")
}

// TestUDP shows that replies come in and nothing else does, in both families.
func TestUDP(t *testing.T) {
	for _, dropped := range []bool{true, false} {
		t.Run(fmt.Sprintf("dropped=%v", dropped), func(t *testing.T) {
			a, b := pods(t, redirect.Options{Redirection: sidecar.Redirection{DropUDP: dropped}})
			for _, address := range []struct{ a, b netip.Addr }{{a.IPv4, b.IPv4}, {a.IPv6, b.IPv6}} {
				server, client := a.ListenUDP(t, netip.AddrPortFrom(address.a, 5300).String()), b.ListenUDP(t, netip.AddrPortFrom(address.b, 5300).String())
				// What is asked for is answered. That it came also shows that what was
				// sent before it was dropped.
				send(t, client, "uncalled", netip.AddrPortFrom(address.a, 5300))
				peer := a.ListenUDP(t, netip.AddrPortFrom(address.a, 5301).String())
				send(t, peer, "question", netip.AddrPortFrom(address.b, 5300))
				if got, from := receive(client); got != "question" {
					t.Fatalf("%s got %q from %v", address.b, got, from)
				}
				send(t, client, "reply", netip.AddrPortFrom(address.a, 5301))
				if got, _ := receive(peer); got != "reply" {
					t.Errorf("no reply reaches %s, but %q", address.a, got)
				}
				want := "uncalled"
				if dropped {
					want = ""
				}
				if got, _ := receive(server); got != want {
					t.Errorf("%s received %q, want %q", address.a, got, want)
				}
				local := a.ListenUDP(t, netip.AddrPortFrom(address.a, 5302).String())
				send(t, local, "from the pod itself", netip.AddrPortFrom(address.a, 5300))
				if got, _ := receive(server); got != "from the pod itself" {
					t.Errorf("the pod itself reaches %s with %q", address.a, got)
				}
			}
		})
	}
}

func send(t *testing.T, c net.PacketConn, text string, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// receive waits a moment for a datagram. Those that are not dropped are there
// before they could be looked for.
func receive(c net.PacketConn) (string, net.Addr) {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	buffer := make([]byte, 100)
	n, from, err := c.ReadFrom(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", nil
	}
	return string(buffer[:n]), from
}

// TestSenderFromWithin has a neighbour claim an address that only the pod itself
// has.
func TestSenderFromWithin(t *testing.T) {
	a, b := pods(t, redirect.Options{})
	delivery := netip.MustParseAddr(sidecar.DeliveryIPv6)
	b.Claim(t, delivery)
	server := a.ListenUDP(t, netip.AddrPortFrom(a.IPv6, 5300).String())
	sender := func(address netip.Addr) net.PacketConn {
		return b.ListenUDP(t, netip.AddrPortFrom(address, 0).String())
	}
	honest, forged, to := sender(b.IPv6), sender(delivery), netip.AddrPortFrom(a.IPv6, 5300)
	// The first makes the neighbours known to each other. The second was dropped if
	// what was sent after it comes next.
	for _, sent := range []struct {
		by   net.PacketConn
		text string
		want string
	}{{honest, "first", "first"}, {forged, "forged", ""}, {honest, "last", "last"}} {
		send(t, sent.by, sent.text, to)
		if sent.want == "" {
			continue
		}
		if got, from := receive(server); got != sent.want {
			t.Errorf("%q comes in, from %v, want %q", got, from, sent.want)
		}
	}
}

func TestApplyWithoutThePrivilege(t *testing.T) {
	lab := netlab.New(t)
	err := lab.Pod("pod").DoWithoutCapabilities(func() error { return redirect.Apply(context.Background(), redirect.Options{}) })
	if err == nil || !strings.Contains(err.Error(), "NET_ADMIN") {
		t.Errorf("got %v, want an error that names NET_ADMIN", err)
	}
}
