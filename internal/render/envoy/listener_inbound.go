package envoy

import (
	"slices"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

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
	// http is the port's connection manager; nil for a port that speaks TCP.
	http *listenerv3.Filter
}

// buildInbound is the listener of one port of a pod in the standalone runtime.
// A peer that none of its chains takes, such as a plain client of a strict
// port, is closed at once.
func buildInbound(p *parts, in inboundInputs) *Resource {
	l := &listenerv3.Listener{
		Name:             inboundName(in.port.Number),
		Address:          socketAddress(in.address, in.port.Number),
		ListenerFilters:  p.tlsInspector,
		FilterChains:     inboundChains(p, in),
		AccessLog:        p.refusedLog,
		TcpKeepalive:     keepalive.TcpKeepalive,
		TrafficDirection: corev3.TrafficDirection_INBOUND,
	}
	if in.port.Plaintext || !in.mode.Enforced() {
		// A client that waits for the server to speak shows no TLS.
		l.ListenerFiltersTimeout = seconds(sniffSeconds)
		l.ContinueOnListenerFiltersTimeout = true
	}
	return newResource(l.Name, l)
}

// inboundChains are the filter chains of a pod's port, whatever listener they
// stand in. Ports that are judged have one per source, so that Envoy can drain
// one source's connections alone: it keeps every chain that did not change.
func inboundChains(p *parts, in inboundInputs) []*listenerv3.FilterChain {
	secured := p.chainParts(in)
	number := strconv.Itoa(int(in.port.Number))
	chain := func(suffix string, serverNames ...string) *listenerv3.FilterChain {
		return &listenerv3.FilterChain{
			Name:             number + "|" + suffix,
			FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: serverNames},
			Filters:          secured.filters,
			TransportSocket:  secured.socket,
		}
	}
	var chains []*listenerv3.FilterChain
	if in.mode.Enforced() {
		for _, s := range sourceChains(in) {
			chains = append(chains, chain(s.serverName+"|"+strconv.FormatUint(s.epoch, 10), s.serverName))
		}
		if !in.port.Plaintext {
			return append(chains, chain("others"))
		}
	}
	// Only meshed clients use server names of our domain; the TLS of others is
	// the application's.
	return append(chains, chain("others", "*."+sourceDomain), &listenerv3.FilterChain{Name: number + "|plaintext", Filters: p.plainFilters(in)})
}

// sourceChain is a part of a port's sources that is drained on its own.
type sourceChain struct {
	serverName string
	epoch      uint64
}

func sourceChains(in inboundInputs) []sourceChain {
	sources := grantedSources(in.policy, in.port)
	if len(sources) <= maxSourceChains {
		chains := make([]sourceChain, len(sources))
		for i, s := range sources {
			chains[i] = sourceChain{SourceName(s), in.epochs.of(in.port.Number, s)}
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
		chains[i] = sourceChain{b, in.epochs.ofBucket(in.port.Number, b)}
	}
	return chains
}

// chainParts are what all chains of a port that end mutual TLS share.
type chainParts struct {
	socket  *corev3.TransportSocket
	filters []*listenerv3.Filter
}

func (p *parts) chainParts(in inboundInputs) chainParts {
	if in.port.Protocol.SpeaksHTTP() {
		return chainParts{p.serverHTTP, []*listenerv3.Filter{p.peer, in.http}}
	}
	return chainParts{p.serverTCP, []*listenerv3.Filter{p.sharedPeer, handOver(in.port.Number)}}
}

// plainFilters serve peers without identity.
func (p *parts) plainFilters(in inboundInputs) []*listenerv3.Filter {
	if in.port.Protocol.SpeaksHTTP() {
		return []*listenerv3.Filter{p.noPeer, in.http}
	}
	return []*listenerv3.Filter{p.noPeer, handOverPlain(in.port.Number)}
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
