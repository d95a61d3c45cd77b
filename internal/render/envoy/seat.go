package envoy

import (
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// maxSourceChains is how many sources of one port have a filter chain each.
// Those that come when all are taken share chains by a hash, of which there are
// at most 256. docs/performance.md tells what a chain costs.
const maxSourceChains = 1024

// Seat returns the epochs after the step from one mesh to the next, of which
// the first may be nil. It decides who shares a chain at ports with more than
// maxSourceChains sources. A source never moves as long as it is granted
// anything: what it has open would stay in the chain that it left, out of
// reach of its rules and its epoch. Whoever comes when all chains are taken
// gets that of a source that has nothing any more, or shares one.
func (e Epochs) Seat(from, to *mesh.Mesh) Epochs {
	var ports map[mesh.Account][]mesh.InboundPort
	for _, policy := range to.Policies {
		named := 0
		for _, g := range policy.Grants {
			named += len(g.Sources)
		}
		if named <= maxSourceChains && !e.crowded(policy.Account, named) {
			continue
		}
		if ports == nil {
			ports = portsOf(to)
		}
		var before *mesh.Policy
		if from != nil {
			before = from.Policy(policy.Account)
		}
		if before == policy {
			continue
		}
		for _, port := range ports[policy.Account] {
			old := e.port(policy.Account, port.Number)
			if next := old.seat(grantedSources(before, port), grantedSources(policy, port)); next != old {
				e = e.with(policy.Account, port.Number, next)
			}
		}
	}
	return e
}

// crowded tells whether some port of the account has had, or may have, more
// sources than chains.
func (e Epochs) crowded(account mesh.Account, named int) bool {
	a := e.accounts[account]
	if a == nil {
		return false
	}
	for _, p := range a.ports {
		if len(p.shared) > 0 || named+len(p.counts) > maxSourceChains {
			return true
		}
	}
	return false
}

// portsOf are the ports that each account's pods serve.
func portsOf(m *mesh.Mesh) map[mesh.Account][]mesh.InboundPort {
	ports := map[mesh.Account][]mesh.InboundPort{}
	for _, w := range m.Workloads {
		for _, p := range w.Ports {
			if !slices.ContainsFunc(ports[w.Account], func(q mesh.InboundPort) bool { return p.Number == q.Number }) {
				ports[w.Account] = append(ports[w.Account], p)
			}
		}
	}
	return ports
}

// seat is what becomes of a port's epochs when those that were granted
// something, sorted, are followed by others.
func (p *portEpochs) seat(before, now []mesh.Principal) *portEpochs {
	granted := func(list []mesh.Principal, source mesh.Principal) bool {
		_, ok := slices.BinarySearch(list, source)
		return ok
	}
	next := p.clone()
	maps.DeleteFunc(next.shared, func(source mesh.Principal, _ bool) bool { return !granted(now, source) })
	taken := len(next.counts)
	var newcomers, left []mesh.Principal
	for _, source := range now {
		switch _, counted := next.counts[source]; {
		case counted || next.shared[source]:
		case granted(before, source):
			taken++
		default:
			newcomers = append(newcomers, source)
		}
	}
	for source := range next.counts {
		if !granted(now, source) && !granted(before, source) {
			left = append(left, source)
		}
	}
	slices.Sort(left)
	for _, source := range newcomers {
		switch {
		case taken < maxSourceChains:
			taken++
		case len(left) > 0:
			delete(next.counts, left[0])
			left = left[1:]
		default:
			next.shared[source] = true
		}
	}
	if p != nil && len(next.counts) == len(p.counts) && maps.Equal(next.shared, p.shared) || p == nil && len(next.shared) == 0 {
		return p
	}
	return next
}
