package controlplane

import (
	"fmt"
	"maps"
	"slices"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

// withdraw returns the epochs after the step from one mesh to the next: one
// more for every source that lost something at a port (AC-17). What another
// grant still allows was not lost.
func withdraw(epochs envoy.Epochs, from, to *mesh.Mesh) envoy.Epochs {
	if from == nil {
		return epochs
	}
	changed := changedPolicies(from, to)
	// A port that nothing but a grant has named is gone with it.
	was, is := servedPorts(from, changed), servedPorts(to, changed)
	for _, before := range changed {
		var held []*mesh.Grant
		if after := to.Policy(before.Account); after != nil {
			held = after.Grants
		}
		lost := map[uint16]map[mesh.Principal]bool{}
		for _, g := range before.Grants {
			if slices.Contains(held, g) {
				continue
			}
			l := newLoss(g, held)
			for port := range union(was[before.Account], is[before.Account]) {
				if g.Covers(port) {
					l.collect(lost, port)
				}
			}
		}
		for port, sources := range lost {
			epochs = epochs.Bump(before.Account, port, slices.Collect(maps.Keys(sources))...)
		}
	}
	return movePorts(epochs, from, to).Retain(to)
}

// movePorts returns the epochs after ports were named that nothing has named
// before. What is open there was judged as on any port, and would be for ever:
// it is closed for those who are granted something there now.
func movePorts(epochs envoy.Epochs, from, to *mesh.Mesh) envoy.Epochs {
	changed := changedPolicies(to, from)
	was, is := servedPorts(from, changed), servedPorts(to, changed)
	for _, policy := range changed {
		ports := was[policy.Account]
		if !ports[mesh.AnyPort] {
			continue
		}
		sources := map[mesh.Principal]bool{}
		for port := range is[policy.Account] {
			for _, g := range policy.Grants {
				if ports[port] || !g.Covers(port) {
					continue
				}
				for _, source := range g.Sources {
					sources[source] = true
				}
			}
		}
		if len(sources) > 0 {
			epochs = epochs.Bump(policy.Account, mesh.AnyPort, slices.Collect(maps.Keys(sources))...)
		}
	}
	return epochs
}

func union(a, b map[uint16]bool) map[uint16]bool {
	all := maps.Clone(a)
	if all == nil {
		return b
	}
	maps.Copy(all, b)
	return all
}

// loss is a grant that is gone, beside those that hold now. What is to be known of
// each pair of grants is found out once, not for each source.
type loss struct {
	gone *mesh.Grant
	held []*mesh.Grant
	// missing are, for each grant that holds, the conditions of the one that is gone
	// which it has not.
	missing []map[string]bool
}

func newLoss(gone *mesh.Grant, held []*mesh.Grant) *loss {
	wanted := make([]string, len(gone.Matches))
	for i, m := range gone.Matches {
		wanted[i] = conditions(m)
	}
	l := &loss{gone: gone, held: held, missing: make([]map[string]bool, len(held))}
	for i, h := range held {
		if h.Connections {
			continue // nothing is missing
		}
		has := make(map[string]bool, len(h.Matches))
		for _, m := range h.Matches {
			has[conditions(m)] = true
		}
		l.missing[i] = map[string]bool{}
		if gone.Connections {
			l.missing[i][anyBytes] = true
		}
		for _, c := range wanted {
			if !has[c] {
				l.missing[i][c] = true
			}
		}
	}
	return l
}

// anyBytes stands among conditions for what a grant of connections allows.
const anyBytes = "connections"

// collect adds, for a port, the sources that had something there by the grant that
// is gone and have it no more.
func (l *loss) collect(lost map[uint16]map[mesh.Principal]bool, port uint16) {
	for _, source := range l.gone.Sources {
		if l.still(port, source) {
			continue
		}
		if lost[port] == nil {
			lost[port] = map[mesh.Principal]bool{}
		}
		lost[port][source] = true
	}
}

// still tells whether what holds allows the source all that the grant which is
// gone allowed it at the port.
func (l *loss) still(port uint16, source mesh.Principal) bool {
	var missing map[string]bool
	for i, h := range l.held {
		if _, named := slices.BinarySearch(h.Sources, source); !named || !h.Covers(port) {
			continue
		}
		if len(l.missing[i]) == 0 {
			return true
		}
		if missing == nil {
			missing = maps.Clone(l.missing[i])
		}
		// Several grants may make up together for the one that is gone.
		maps.DeleteFunc(missing, func(c string, _ bool) bool { return !l.missing[i][c] })
		if len(missing) == 0 {
			return true
		}
	}
	return false
}

// conditions is equal for matches that select the same requests by the same
// conditions, whatever they are called.
func conditions(m *mesh.Match) string {
	return fmt.Sprintf("%q %q %q", m.Methods, m.Path, m.Headers)
}

// changedPolicies are those that are others in the next mesh, or not there.
func changedPolicies(from, to *mesh.Mesh) []*mesh.Policy {
	var changed []*mesh.Policy
	next := 0
	for _, p := range from.Policies { // sorted, as the next ones are
		for next < len(to.Policies) && to.Policies[next] != p && to.Policies[next].Account.Compare(p.Account) < 0 {
			next++
		}
		if next == len(to.Policies) || to.Policies[next] != p {
			changed = append(changed, p)
		}
	}
	return changed
}

// servedPorts are the ports that the pods of each policy's account serve.
func servedPorts(m *mesh.Mesh, policies []*mesh.Policy) map[mesh.Account]map[uint16]bool {
	if len(policies) == 0 {
		return nil
	}
	wanted := make(map[mesh.Account]bool, len(policies))
	for _, p := range policies {
		wanted[p.Account] = true
	}
	ports := map[mesh.Account]map[uint16]bool{}
	for _, w := range m.Workloads {
		if !wanted[w.Account] {
			continue
		}
		if ports[w.Account] == nil {
			ports[w.Account] = map[uint16]bool{}
		}
		for _, p := range w.Ports {
			ports[w.Account][p.Number] = true
		}
	}
	return ports
}
