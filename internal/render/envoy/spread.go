package envoy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// DefaultSourceChains is how many sources of one port may have a filter chain
// each. Where there are more, all share chains by a hash, of which there are at
// most 256. It depends on who is granted something now and on nothing else, so
// that every control plane, at any time, comes to the same. docs/performance.md
// tells what a chain costs.
const DefaultSourceChains = 1024

// spread is how the sources of a port are spread over its filter chains.
type spread struct {
	chains []sourceChain
	// others is the epoch of the chain of those without a grant.
	others uint64
	// past tells that some chains are, or may be, of sources that have nothing
	// left. Without such, who is in which chain depends on the grants alone.
	past bool
}

// sourceChain is a filter chain that one source has, or that several share. It
// has rules of its own and is drained on its own.
type sourceChain struct {
	// label tells the chain from others of the port, whoever comes and goes.
	label string
	// serverName is the only one that leads into the chain.
	serverName string
	// sources may be empty: what they had was withdrawn.
	sources []grantedSource
	epoch   uint64
}

type spreadInputs struct {
	granted *portGrants
	epochs  *portEpochs
}

func buildSpread(p *parts, in spreadInputs) *spread {
	out := &spread{}
	if in.epochs != nil {
		out.others = in.epochs.withdrawals
	}
	left := in.epochs.withoutGrant(in.granted)
	out.past = len(left) > 0
	if len(in.granted.sources) > p.SourceChains {
		out.chains = sharedChains(in, left)
		return out
	}
	out.chains = make([]sourceChain, 0, len(in.granted.sources)+len(left))
	for i, s := range in.granted.sources {
		out.chains = append(out.chains, ownChain(s.serverName, in.granted.sources[i:i+1:i+1], in.epochs.of(s.principal)))
	}
	for _, source := range left {
		out.chains = append(out.chains, ownChain(SourceName(source), nil, in.epochs.of(source)))
	}
	return out
}

func ownChain(serverName string, sources []grantedSource, epoch uint64) sourceChain {
	return sourceChain{label: serverName[:sourceLabel], serverName: serverName, sources: sources, epoch: epoch}
}

// sharedChains are those of sources that have none of their own. The epoch of a
// chain is the last withdrawal from any that is, or was, in it. A connection that
// is older than its source's first grant is in the chain of its source already.
func sharedChains(in spreadInputs, left []mesh.Principal) []sourceChain {
	buckets := map[string]*sourceChain{}
	chainOf := func(serverName string, epoch uint64) *sourceChain {
		bucket := bucketOf(serverName)
		c := buckets[bucket]
		if c == nil {
			c = &sourceChain{label: bucket, serverName: "*." + bucket + "." + sourceDomain}
			buckets[bucket] = c
		}
		c.epoch = max(c.epoch, epoch)
		return c
	}
	for _, s := range in.granted.sources {
		c := chainOf(s.serverName, in.epochs.of(s.principal))
		c.sources = append(c.sources, s)
	}
	for _, source := range left {
		chainOf(SourceName(source), in.epochs.of(source))
	}
	out := make([]sourceChain, 0, len(buckets))
	for _, bucket := range slices.Sorted(maps.Keys(buckets)) {
		out = append(out, *buckets[bucket])
	}
	return out
}

// withoutGrant are the sources that something was withdrawn from and that have
// nothing left, sorted.
func (p *portEpochs) withoutGrant(granted *portGrants) []mesh.Principal {
	if p == nil {
		return nil
	}
	var out []mesh.Principal
	for source := range p.last {
		if !granted.has(source) {
			out = append(out, source)
		}
	}
	slices.Sort(out)
	return out
}

func (g *portGrants) has(source mesh.Principal) bool {
	_, ok := slices.BinarySearchFunc(g.sources, source, func(s grantedSource, p mesh.Principal) int { return cmp.Compare(s.principal, p) })
	return ok
}
