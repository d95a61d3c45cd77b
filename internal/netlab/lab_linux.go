package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// Lab is a network of pods.
type Lab struct {
	tb testing.TB
	// Node is the namespace of the bridge, to which all pods are joined.
	Node *Namespace
	last byte
}

// Addresses of the lab. It is a network of its own, so all labs have the same.
var (
	RangeIPv4 = netip.MustParsePrefix("10.77.0.0/24")
	RangeIPv6 = netip.MustParsePrefix("fd00:77::/64")
	nodeIPv4  = netip.MustParseAddr("10.77.0.1")
	nodeIPv6  = netip.MustParseAddr("fd00:77::1")
)

// OutsideIPv4 and OutsideIPv6 are addresses of the node that are in none of the
// ranges: they stand for the rest of the world.
var (
	OutsideIPv4 = netip.MustParseAddr("203.0.113.1")
	OutsideIPv6 = netip.MustParseAddr("2001:db8::1")
)

const bridgeName = "bridge0"

// New makes a lab without pods.
func New(tb testing.TB) *Lab {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("this test makes network namespaces, which only root may: run it as root")
	}
	l := &Lab{tb: tb, Node: newNamespace(tb, "node", nodeIPv4, nodeIPv6), last: 1}
	l.Node.Must(tb, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		if err := addAddresses(bridge, nodeIPv4, nodeIPv6); err != nil {
			return err
		}
		if err := addAddresses(bridge, OutsideIPv4, OutsideIPv6); err != nil {
			return err
		}
		return setUp(bridgeName, "lo")
	})
	return l
}

// Pod adds a namespace with an address of each family at its interface eth0.
func (l *Lab) Pod(name string) *Namespace { return l.pod(name, true) }

// PodIPv4 adds one in which IPv6 is disabled.
func (l *Lab) PodIPv4(name string) *Namespace { return l.pod(name, false) }

func (l *Lab) pod(name string, ipv6 bool) *Namespace {
	l.tb.Helper()
	l.last++
	v4, v6 := nodeIPv4.As4(), nodeIPv6.As16()
	v4[3], v6[15] = l.last, l.last
	p := newNamespace(l.tb, name, netip.AddrFrom4(v4), netip.AddrFrom16(v6))
	port := fmt.Sprintf("port%d", l.last)
	l.Node.Must(l.tb, func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.file.Fd()))}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(veth, bridge); err != nil {
			return err
		}
		return setUp(port)
	})
	if !ipv6 {
		p.IPv6 = netip.Addr{}
	}
	p.Must(l.tb, func() error { return p.configure() })
	l.Node.Must(l.tb, func() error { return awaitUp(port) })
	p.Must(l.tb, func() error { return awaitUp("eth0") })
	return p
}

// awaitUp waits until an interface carries packets. The kernel sees to that at
// most once a second, and drops what is sent before.
func awaitUp(name string) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range 2000 {
		link, err := netlink.LinkByName(name)
		if err != nil || link.Attrs().OperState == netlink.OperUp {
			return err
		}
		<-ticker.C
	}
	return fmt.Errorf("interface %s does not come up", name)
}

// configure gives a pod its addresses and its way out.
func (n *Namespace) configure() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	addresses, gateways := []netip.Addr{n.IPv4}, []netip.Addr{nodeIPv4}
	if n.IPv6.IsValid() {
		addresses, gateways = append(addresses, n.IPv6), append(gateways, nodeIPv6)
	} else {
		for _, which := range []string{"all", "default"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0); err != nil {
				return err
			}
		}
	}
	if err := addAddresses(link, addresses...); err != nil {
		return err
	}
	if err := setUp("eth0", "lo"); err != nil {
		return err
	}
	for _, gateway := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
			return err
		}
	}
	return nil
}

// Claim gives the namespace an address more, whoever else has it.
func (n *Namespace) Claim(tb testing.TB, address netip.Addr) {
	tb.Helper()
	n.Must(tb, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return addAddresses(link, address)
	})
}

// Send sends whatever is for an address to a neighbour, as an attacker does: that
// the address is one of loopback, or that the neighbour should not be asked for
// it, is no hindrance.
func (n *Namespace) Send(tb testing.TB, address, neighbour netip.Addr) {
	tb.Helper()
	n.Must(tb, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if address.IsLoopback() {
			if err := exportLoopback(); err != nil {
				return err
			}
		}
		whole := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: whole, Gw: neighbour.AsSlice()})
	})
}

// exportLoopback has the kernel treat loopback addresses of IPv4 as any others. The
// namespace itself loses its own.
func exportLoopback() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	addresses, err := netlink.AddrList(lo, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if err := netlink.AddrDel(lo, &a); err != nil {
			return err
		}
	}
	return nil
}

func addAddresses(link netlink.Link, addresses ...netip.Addr) error {
	for _, one := range addresses {
		a := netip.PrefixFrom(one, RangeIPv4.Bits())
		if one.Is6() {
			a = netip.PrefixFrom(one, RangeIPv6.Bits())
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
		if a.Addr().Is6() {
			address.Flags = flagNoDAD // Usable at once.
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	return nil
}

func setUp(names ...string) error {
	for _, name := range names {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}
