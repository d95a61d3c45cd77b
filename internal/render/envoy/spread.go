package envoy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// spread is how the sources of a port are spread over its filter chains.
type spread struct {
	// chains are those of one source each, and then those that are shared.
	chains []sourceChain
	// others is the epoch of the chain of those without a grant.
	others uint64
	// past tells that it depends on more than on who is granted something now.
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

func buildSpread(_ *parts, in spreadInputs) *spread {
	out := &spread{chains: make([]sourceChain, 0, len(in.granted.sources))}
	if in.epochs != nil {
		out.others = in.epochs.others
	}
	var sharing []grantedSource
	for i, s := range in.granted.sources {
		epoch := in.epochs.of(s.principal)
		if in.epochs.shares(s.principal) || len(out.chains) >= maxSourceChains && epoch == 0 {
			sharing = append(sharing, s)
			continue
		}
		out.chains = append(out.chains, ownChain(s.serverName, in.granted.sources[i:i+1:i+1], epoch))
	}
	for _, source := range in.epochs.withoutGrant(in.granted) {
		out.past = true
		out.chains = append(out.chains, ownChain(SourceName(source), nil, in.epochs.of(source)))
	}
	if len(sharing) > 0 || in.epochs != nil && len(in.epochs.buckets) > 0 {
		out.past = true
		out.chains = append(out.chains, sharedChains(sharing, in.epochs)...)
	}
	return out
}

func ownChain(serverName string, sources []grantedSource, epoch uint64) sourceChain {
	return sourceChain{label: serverName[:sourceLabel], serverName: serverName, sources: sources, epoch: epoch}
}

// sharedChains are those of sources that have none of their own. Server names
// that a chain has for its own win over the wildcards here.
func sharedChains(sharing []grantedSource, epochs *portEpochs) []sourceChain {
	buckets := map[string]*sourceChain{}
	chainOf := func(bucket string) *sourceChain {
		c := buckets[bucket]
		if c == nil {
			c = &sourceChain{label: bucket, serverName: "*." + bucket + "." + sourceDomain}
			buckets[bucket] = c
		}
		return c
	}
	for _, s := range sharing {
		c := chainOf(bucketOf(s.serverName))
		c.sources = append(c.sources, s)
	}
	if epochs != nil {
		for bucket, epoch := range epochs.buckets {
			chainOf(bucket).epoch = epoch
		}
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
	for source := range p.counts {
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
