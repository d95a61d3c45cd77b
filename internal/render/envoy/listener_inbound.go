package envoy

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// inboundInputs are what the listener of a pod's port depends on.
type inboundInputs struct {
	// address is empty on a cluster, where the chains of all ports stand in one
	// listener and match on their ports.
	address string
	port    mesh.InboundPort
	mode    mesh.Mode
	spread  *spread
	shared  *portChains
}

// buildInbound is the listener of one port of a pod in the standalone runtime.
// A peer that none of its chains takes, such as a plain client of a strict
// port, is closed at once.
func buildInbound(p *parts, in inboundInputs) *Resource {
	l := &listenerv3.Listener{
		Name:             inboundName(in.port.Number),
		Address:          socketAddress(in.address, in.port.Number),
		ListenerFilters:  p.tlsInspector,
		AccessLog:        p.refusedLog,
		TcpKeepalive:     keepalive.TcpKeepalive,
		TrafficDirection: corev3.TrafficDirection_INBOUND,
	}
	if in.port.Plaintext || !in.mode.Enforced() {
		// A client that waits for the server to speak shows no TLS.
		l.ListenerFiltersTimeout = seconds(sniffSeconds)
		l.ContinueOnListenerFiltersTimeout = true
	}
	return withChains(l, inboundChains(in)).resource(l.Name, typeURL(l))
}

// chain is a filter chain in two pieces: what is its own, and what it shares
// with others of its port.
type chain struct{ own, shared piece }

const fieldFilterChains = 3 // of a Listener

func withChains(l *listenerv3.Listener, chains []chain) piece {
	head := newPiece(l)
	a := newAssembly(1 + 2*len(chains))
	a.fields(head)
	for _, c := range chains {
		a.message(fieldFilterChains, c.own, c.shared)
	}
	return a.piece()
}

// inboundChains are the filter chains of a pod's port, whatever listener they
// stand in. There is one per source, so that Envoy can drain one source's
// connections alone: it keeps every chain that did not change. Their names do
// not count epochs where nothing is enforced, since nothing is to be closed
// there (AC-16).
func inboundChains(in inboundInputs) []chain {
	number := strconv.Itoa(int(in.port.Number))
	name := func(label string, epoch uint64) string {
		if !in.mode.Enforced() {
			return number + "|" + label + "|open"
		}
		return number + "|" + label + "|" + strconv.FormatUint(epoch, 10)
	}
	var port uint16
	if in.address == "" {
		port = in.port.Number
	}
	chains := make([]chain, 0, len(in.spread.chains)+2)
	for _, s := range in.spread.chains {
		chains = append(chains, chain{chainHead(name(s.label, s.epoch), port, s.serverName), in.shared.ofChain(s.label)})
	}
	others := name("others", in.spread.others)
	if in.mode.Enforced() && !in.port.Plaintext {
		return append(chains, chain{chainHead(others, port, ""), in.shared.secured})
	}
	// Only meshed clients use server names of our domain; the TLS of others is
	// the application's.
	return append(chains,
		chain{chainHead(others, port, "*."+sourceDomain), in.shared.secured},
		chain{newPiece(portChain(number+"|plaintext", port)), in.shared.plain})
}

// portChain is a filter chain for whatever comes to a port, or to any if that is
// mesh.AnyPort.
func portChain(name string, port uint16) *listenerv3.FilterChain {
	c := &listenerv3.FilterChain{Name: name}
	if port != mesh.AnyPort {
		c.FilterChainMatch = &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(uint32(port))}
	}
	return c
}

// chainHead is a FilterChain's name and its match: of a port unless that is
// mesh.AnyPort, and of TLS, by a server name unless that is "". There is one for
// each source of each port, so it is put down by hand.
func chainHead(name string, port uint16, serverName string) piece {
	const fieldMatch, fieldName, fieldPort, fieldTransport, fieldServerNames = 1, 7, 8, 9, 11
	const fieldValue = 1 // of a UInt32Value
	var match []byte
	if port != mesh.AnyPort {
		value := protowire.AppendVarint(protowire.AppendTag(nil, fieldValue, protowire.VarintType), uint64(port))
		match = protowire.AppendBytes(protowire.AppendTag(match, fieldPort, protowire.BytesType), value)
	}
	match = protowire.AppendString(protowire.AppendTag(match, fieldTransport, protowire.BytesType), "tls")
	if serverName != "" {
		match = protowire.AppendString(protowire.AppendTag(match, fieldServerNames, protowire.BytesType), serverName)
	}
	var head []byte
	head = protowire.AppendBytes(protowire.AppendTag(head, fieldMatch, protowire.BytesType), match)
	return newRaw(protowire.AppendString(protowire.AppendTag(head, fieldName, protowire.BytesType), name))
}

// portChains are what all chains of a port share, whatever class it is of.
type portChains struct {
	// http is the port's connection manager with the rules of all sources; nil
	// for a port that speaks TCP.
	http *listenerv3.Filter
	// secured ends mutual TLS, plain serves peers without identity.
	secured, plain piece
	// own and bucket end mutual TLS for the chains of sources. Nil where these ask
	// no rules of their own.
	own, bucket *chainTemplate
}

type portChainsInputs struct {
	port     uint16
	protocol mesh.Protocol
	cluster  bool
}

// application is the name of the cluster of the application behind the port.
func (in portChainsInputs) application() string {
	if in.cluster {
		return deliveryName(in.protocol)
	}
	return inboundName(in.port)
}

func buildPortChains(p *parts, in portChainsInputs) *portChains {
	c := &portChains{}
	if in.protocol != mesh.TCP {
		c.http = inboundHTTP(p, in, accessName(in.port))
	}
	sharedPeer, noPeer := p.sharedPeer, p.noPeer
	if in.cluster {
		sharedPeer, noPeer = p.sharedPeerOnCluster, p.noPeerOnCluster
	}
	secured := &listenerv3.FilterChain{TransportSocket: p.serverTCP, Filters: []*listenerv3.Filter{sharedPeer, handOver(in.port)}}
	plain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{noPeer, handOverPlain(in.port)}}
	if in.protocol.SpeaksHTTP() {
		secured = securedHTTP(p, c.http)
		plain.Filters = []*listenerv3.Filter{noPeer, c.http}
		c.own, c.bucket = newChainTemplate(p, in, sourceLabel), newChainTemplate(p, in, bucketLabel)
	}
	c.secured, c.plain = newPiece(secured), newPiece(plain)
	return c
}

func securedHTTP(p *parts, http *listenerv3.Filter) *listenerv3.FilterChain {
	return &listenerv3.FilterChain{TransportSocket: p.serverHTTP, Filters: []*listenerv3.Filter{p.peer, http}}
}

// ofChain is what the chain of that label has beside its head.
func (c *portChains) ofChain(label string) piece {
	switch {
	case c.own == nil:
		return c.secured
	case len(label) == bucketLabel:
		return c.bucket.with(label)
	default:
		return c.own.with(label)
	}
}

// chainTemplate is an encoded FilterChain whose rules are named by a label of a
// certain length. What is before and behind the label lies in memory once.
type chainTemplate struct {
	before, behind []byte
	size           int
	sum            [sha256.Size]byte
}

func newChainTemplate(p *parts, in portChainsInputs, length int) *chainTemplate {
	label := strings.Repeat("?", length)
	whole := newPiece(securedHTTP(p, inboundHTTP(p, in, chainAccessName(in.port, label))))
	before, behind, ok := bytes.Cut(whole.bytes(), []byte(label))
	if !ok || bytes.Contains(behind, []byte(label)) {
		panic("render/envoy: a filter chain does not name its rules once")
	}
	return &chainTemplate{before, behind, whole.size, whole.sum}
}

// with is the chain of that label. Its digest leaves the label out, which the
// chain's name contains as well.
func (t *chainTemplate) with(label string) piece {
	return piece{segments: [][]byte{t.before, []byte(label), t.behind}, size: t.size, sum: t.sum}
}

// onlyRefused selects connections that no filter chain took.
func onlyRefused(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = withFlags("NR")
	}
	return logs
}
