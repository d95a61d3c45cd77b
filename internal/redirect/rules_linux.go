package redirect

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/smi-project/smi/internal/sidecar"
)

// served are the sidecar's ports that are meant to be called from outside.
var served = []uint16{sidecar.PortMetrics, sidecar.PortHealth, sidecar.PortProbes}

// own are the sidecar's ports that no connection but a redirected one may
// reach.
var own = []uint16{sidecar.PortOutbound, sidecar.PortInbound}

// addRules fills the table.
func addRules(c *nftables.Conn, t *nftables.Table, o Options) {
	nat := func(name string, hook *nftables.ChainHook) *chain {
		return &chain{c, c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest,
		})}
	}
	filter := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *chain {
		return &chain{c, c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority,
		})}
	}
	addBorder(filter("border", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw))
	addInbound(nat("inbound", nftables.ChainHookPrerouting), o)
	addOutbound(nat("outbound", nftables.ChainHookOutput), o)
	addGuard(filter("guard", nftables.ChainHookInput, nftables.ChainPriorityFilter), o)
}

// addBorder keeps addresses that mean something within the pod alone from being
// used across its border. The kernel refuses most of that too, but only where it
// routes a packet, when the redirection has given it another destination.
func addBorder(c *chain) {
	c.rule(accept, from(loopback))
	for _, network := range sidecar.PodOnly() {
		c.rule(drop, destination(network))
		c.rule(drop, source(network))
	}
}

// addInbound brings what comes to one of the pod's addresses to the sidecar.
func addInbound(c *chain, o Options) {
	c.rule(accept, from(loopback))
	for _, list := range [][]uint16{served, own, o.ExcludeInbound} {
		for _, port := range list {
			c.rule(accept, tcpPort(port))
		}
	}
	c.rule(to(sidecar.PortInbound), tcp, toOwnAddress)
}

// addOutbound brings what the application sends to the sidecar, and what the
// sidecar sends to its own pod back to itself: a Service may lead there, and is
// judged there as anywhere.
func addOutbound(c *chain, o Options) {
	c.rule(accept, notTCP)
	for _, text := range []string{sidecar.DeliveryIPv4, sidecar.DeliveryIPv6} {
		address := netip.MustParseAddr(text)
		c.rule(accept, onto(loopback), source(netip.PrefixFrom(address, address.BitLen())))
	}
	proxy := user(o.UserID)
	c.rule(accept, proxy, destination(netip.MustParsePrefix("127.0.0.0/8")))
	c.rule(accept, proxy, destination(netip.MustParsePrefix("::1/128")))
	c.rule(to(sidecar.PortInbound), proxy, onto(loopback))
	c.rule(accept, proxy)
	c.rule(accept, onto(loopback))
	for _, port := range o.ExcludeOutbound {
		c.rule(accept, tcpPort(port))
	}
	for _, cidr := range o.ExcludeCIDRs {
		c.rule(accept, destination(cidr))
	}
	c.rule(to(sidecar.PortOutbound), tcp)
}

// addGuard refuses what must not arrive.
func addGuard(c *chain, o Options) {
	for _, port := range own {
		c.rule(reset, tcpPort(port), notRedirected)
	}
	if !o.DropUDP {
		return
	}
	c.rule(accept, from(loopback))
	for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} {
		c.rule(accept, transport(protocol))
	}
	c.rule(accept, reply)
	c.rule(drop)
}

// chain adds rules to a chain.
type chain struct {
	conn *nftables.Conn
	in   *nftables.Chain
}

// part is a condition or a verdict of a rule.
type part []expr.Any

func (c *chain) rule(verdict part, conditions ...part) {
	var all []expr.Any
	for _, condition := range conditions {
		all = append(all, condition...)
	}
	c.conn.AddRule(&nftables.Rule{Table: c.in.Table, Chain: c.in, Exprs: append(all, verdict...)})
}

// register is the one that all rules use.
const register = unix.NFT_REG_1

func is(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func isNot(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: data}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register} }

// masked keeps the bits of a number that is in the order of the machine.
func masked(bits uint32) expr.Any {
	return &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)}
}

// Verdicts.
var (
	accept = part{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop   = part{&expr.Verdict{Kind: expr.VerdictDrop}}
	reset  = part{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
)

// to redirects to a port of this pod.
func to(port uint16) part {
	return part{
		&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Redir{RegisterProtoMin: register},
	}
}

// loopback is the name of the interface, as the kernel compares it.
var loopback = append([]byte("lo"), make([]byte, unix.IFNAMSIZ-len("lo"))...)

func from(name []byte) part { return part{meta(expr.MetaKeyIIFNAME), is(name...)} }

func onto(name []byte) part { return part{meta(expr.MetaKeyOIFNAME), is(name...)} }

func transport(protocol byte) part { return part{meta(expr.MetaKeyL4PROTO), is(protocol)} }

var (
	tcp    = transport(unix.IPPROTO_TCP)
	notTCP = part{meta(expr.MetaKeyL4PROTO), isNot(unix.IPPROTO_TCP)}
	// toOwnAddress is true of the addresses of this pod, broadcast and multicast
	// aside.
	toOwnAddress = part{
		&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true},
		is(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}
	// notRedirected is true of connections that came to a port as they were sent.
	notRedirected = part{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: register}, masked(statusRedirected), is(0, 0, 0, 0),
	}
	reply = part{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		masked(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), isNot(0, 0, 0, 0),
	}
)

// statusRedirected is the bit of a connection's status that tells that its
// destination was replaced (IPS_DST_NAT).
const statusRedirected = 1 << 5

// tcpPort is a destination port of TCP.
func tcpPort(port uint16) part {
	return append(append(part{}, tcp...),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		is(binary.BigEndian.AppendUint16(nil, port)...))
}

// user is the one that has opened the socket.
func user(id uint32) part {
	return part{meta(expr.MetaKeySKUID), is(binaryutil.NativeEndian.PutUint32(id)...)}
}

// Offsets of addresses in the headers of IPv4 and IPv6.
const (
	sourceIPv4, destinationIPv4 = 12, 16
	sourceIPv6, destinationIPv6 = 8, 24
)

func source(p netip.Prefix) part { return address(p, sourceIPv4, sourceIPv6) }

func destination(p netip.Prefix) part { return address(p, destinationIPv4, destinationIPv6) }

// address compares one of a packet's addresses with a network of its family.
func address(p netip.Prefix, ipv4, ipv6 uint32) part {
	family, offset := byte(unix.NFPROTO_IPV4), ipv4
	if p.Addr().Is6() {
		family, offset = unix.NFPROTO_IPV6, ipv6
	}
	length := uint32(p.Addr().BitLen() / 8)
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return part{
		meta(expr.MetaKeyNFPROTO), is(family),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: length, Mask: mask, Xor: make([]byte, length)},
		is(p.Masked().Addr().AsSlice()...),
	}
}
