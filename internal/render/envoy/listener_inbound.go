package envoy

import (
	"slices"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smi-project/smi/mesh"
)

// inboundInputs are what the listener of a pod's port depends on.
type inboundInputs struct {
	address string
	account mesh.Account
	port    mesh.InboundPort
	mode    mesh.Mode
	policy  *mesh.Policy
	epochs  *accountEpochs
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
// stand in. Ports that are judged have one per source, so that Envoy can drain
// one source's connections alone: it keeps every chain that did not change.
func inboundChains(in inboundInputs) []chain {
	number := strconv.Itoa(int(in.port.Number))
	secured := func(suffix string, serverNames ...string) chain {
		return chain{chainHead(number+"|"+suffix, serverNames), in.shared.secured}
	}
	var chains []chain
	if in.mode.Enforced() {
		sources := sourceChains(in)
		chains = make([]chain, 0, len(sources)+2)
		for _, s := range sources {
			chains = append(chains, secured(s.name+"|"+strconv.FormatUint(s.epoch, 10), s.serverNames...))
		}
		if !in.port.Plaintext {
			return append(chains, secured("others"))
		}
	}
	// Only meshed clients use server names of our domain; the TLS of others is
	// the application's.
	return append(chains, secured("others", "*."+sourceDomain), chain{newPiece(&listenerv3.FilterChain{Name: number + "|plaintext"}), in.shared.plain})
}

// chainHead is a FilterChain's name and its match of TLS by server names. There
// is one for each source of each port, so it is put down by hand.
func chainHead(name string, serverNames []string) piece {
	const fieldMatch, fieldName, fieldTransport, fieldServerNames = 1, 7, 9, 11
	var match []byte
	match = protowire.AppendString(protowire.AppendTag(match, fieldTransport, protowire.BytesType), "tls")
	for _, n := range serverNames {
		match = protowire.AppendString(protowire.AppendTag(match, fieldServerNames, protowire.BytesType), n)
	}
	var head []byte
	head = protowire.AppendBytes(protowire.AppendTag(head, fieldMatch, protowire.BytesType), match)
	return newRaw(protowire.AppendString(protowire.AppendTag(head, fieldName, protowire.BytesType), name))
}

// sourceChain is a part of a port's sources that is drained on its own.
type sourceChain struct {
	name        string
	serverNames []string
	epoch       uint64
}

func sourceChains(in inboundInputs) []sourceChain {
	sources := grantedSources(in.policy, in.port)
	if len(sources) <= maxSourceChains {
		chains := make([]sourceChain, len(sources))
		for i, s := range sources {
			name := SourceName(s)
			chains[i] = sourceChain{name, []string{name}, in.epochs.of(in.port.Number, s)}
		}
		return chains
	}
	buckets := make([]string, len(sources))
	for i, s := range sources {
		buckets[i] = sourceBucket(s)
	}
	slices.Sort(buckets)
	buckets = slices.Compact(buckets)
	chains := make([]sourceChain, len(buckets))
	for i, b := range buckets {
		chains[i] = sourceChain{b, bucketNames(b), in.epochs.ofBucket(in.port.Number, b)}
	}
	return chains
}

// portChains are what all chains of a port share, whatever class it is of.
type portChains struct {
	// http is the port's connection manager; nil for a port that speaks TCP.
	http *listenerv3.Filter
	// secured ends mutual TLS, plain serves peers without identity.
	secured, plain piece
}

type portChainsInputs struct {
	port     uint16
	protocol mesh.Protocol
}

func buildPortChains(p *parts, in portChainsInputs) *portChains {
	c := &portChains{}
	if in.protocol != mesh.TCP {
		c.http = inboundHTTP(p, in.port)
	}
	secured := &listenerv3.FilterChain{TransportSocket: p.serverTCP, Filters: []*listenerv3.Filter{p.sharedPeer, handOver(in.port)}}
	plain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{p.noPeer, handOverPlain(in.port)}}
	if in.protocol.SpeaksHTTP() {
		secured.TransportSocket, secured.Filters = p.serverHTTP, []*listenerv3.Filter{p.peer, c.http}
		plain.Filters = []*listenerv3.Filter{p.noPeer, c.http}
	}
	c.secured, c.plain = newPiece(secured), newPiece(plain)
	return c
}

// onlyRefused selects connections that no filter chain took.
func onlyRefused(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}},
		}}
	}
	return logs
}
