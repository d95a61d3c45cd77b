package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/smi-project/smi/test/cluster/internal/network"
	"github.com/smi-project/smi/test/cluster/internal/node"
)

// linkName is the machine's end of the link to a cluster's node.
func linkName(cluster string) string { return "smi-" + cluster }

// usedPrefixes lists what the machine has routes to, default routes left out.
func usedPrefixes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the machine's routes: %w", err)
	}
	var out []netip.Prefix
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(route.Dst.IP)
		ones, _ := route.Dst.Mask.Size()
		if ok && ones > 0 {
			out = append(out, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return out, nil
}

// link joins the machine with the node of process pid, and gives the machine
// routes to the cluster's pods and Services.
func link(cluster string, pid int, plan network.Plan) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = linkName(cluster)
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: node.Interface, PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the interface %s: %w", attrs.Name, err)
	}
	made, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return fmt.Errorf("find the interface %s: %w", attrs.Name, err)
	}
	for _, prefix := range plan.Host.Prefixes() {
		addr := &netlink.Addr{IPNet: network.IPNet(prefix)}
		if prefix.Addr().Is6() {
			addr.Flags = nodad
		}
		if err := netlink.AddrAdd(made, addr); err != nil {
			return fmt.Errorf("give %s the address %s: %w", attrs.Name, prefix, err)
		}
	}
	if err := netlink.LinkSetUp(made); err != nil {
		return fmt.Errorf("set %s up: %w", attrs.Name, err)
	}
	for _, dual := range []network.Dual{plan.Pods, plan.Services} {
		for i, prefix := range dual.Prefixes() {
			via := plan.Node.Prefixes()[i].Addr()
			route := &netlink.Route{LinkIndex: made.Attrs().Index, Dst: network.IPNet(prefix), Gw: net.IP(via.AsSlice())}
			if err := netlink.RouteAdd(route); err != nil {
				return fmt.Errorf("route %s by %s: %w", prefix, attrs.Name, err)
			}
		}
	}
	return nil
}

// nodad is IFA_F_NODAD: an IPv6 address that works at once.
const nodad = 0x02

// unlink removes the link, if it is there, with its addresses and routes.
func unlink(cluster string) error {
	found, err := netlink.LinkByName(linkName(cluster))
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(found)
	}
	if err != nil {
		return fmt.Errorf("remove the interface %s: %w", linkName(cluster), err)
	}
	return nil
}
