package node

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/smi-project/smi/test/cluster/internal/network"
)

// sysctls are settings of the node's own network.
var sysctls = map[string]string{
	"net/ipv4/ip_forward":          "1",
	"net/ipv6/conf/all/forwarding": "1",
	// An address should work at once; nobody else can have it.
	"net/ipv6/conf/default/accept_dad":           "0",
	"net/ipv6/conf/" + Interface + "/accept_dad": "0",
}

// setUpLink gives the node its addresses. It has no default route: there is
// nowhere to go but the machine's end of the link.
func setUpLink(plan network.Plan) error {
	for name, value := range sysctls {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o600); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	for _, name := range []string{"lo", Interface} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("interface %s of the node: %w", name, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("interface %s of the node: %w", name, err)
		}
	}
	link, err := netlink.LinkByName(Interface)
	if err != nil {
		return fmt.Errorf("interface %s of the node: %w", Interface, err)
	}
	for _, prefix := range plan.Node.Prefixes() {
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: network.IPNet(prefix)}); err != nil {
			return fmt.Errorf("address %s of the node: %w", prefix, err)
		}
	}
	// kube-proxy turns packets to cluster IPs round, but the kernel wants a route
	// before it asks.
	for i, prefix := range plan.Services.Prefixes() {
		via := plan.Host.Prefixes()[i].Addr()
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: network.IPNet(prefix), Gw: net.IP(via.AsSlice())}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to the Services' addresses %s: %w", prefix, err)
		}
	}
	return nil
}
