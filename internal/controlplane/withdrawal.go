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
	ports := servedPorts(to, changed)
	for _, before := range changed {
		after := to.Policy(before.Account)
		lost := map[uint16]map[mesh.Principal]bool{}
		for _, g := range before.Grants {
			if after != nil && slices.Contains(after.Grants, g) {
				continue
			}
			for _, port := range ports[before.Account] {
				if g.Covers(port) {
					collectLosses(lost, g, after, port)
				}
			}
		}
		for port, sources := range lost {
			epochs = epochs.Bump(before.Account, port, slices.Collect(maps.Keys(sources))...)
		}
	}
	return epochs
}

// collectLosses adds, per port, the sources that had something there by a grant
// that is gone and have it no more.
func collectLosses(lost map[uint16]map[mesh.Principal]bool, gone *mesh.Grant, after *mesh.Policy, port uint16) {
	for _, source := range gone.Sources {
		if stillAllowed(gone, after, port, source) {
			continue
		}
		if lost[port] == nil {
			lost[port] = map[mesh.Principal]bool{}
		}
		lost[port][source] = true
	}
}

// stillAllowed tells whether the policy allows the source all that a grant
// which is gone allowed it at the port.
func stillAllowed(gone *mesh.Grant, after *mesh.Policy, port uint16, source mesh.Principal) bool {
	if after == nil {
		return false
	}
	held := map[string]bool{}
	for _, g := range after.Grants {
		if !g.Covers(port) || !slices.Contains(g.Sources, source) {
			continue
		}
		if g.Connections {
			return true
		}
		for _, m := range g.Matches {
			held[conditions(m)] = true
		}
	}
	if gone.Connections {
		return false
	}
	return !slices.ContainsFunc(gone.Matches, func(m *mesh.Match) bool { return !held[conditions(m)] })
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
func servedPorts(m *mesh.Mesh, policies []*mesh.Policy) map[mesh.Account][]uint16 {
	if len(policies) == 0 {
		return nil
	}
	wanted := make(map[mesh.Account]bool, len(policies))
	for _, p := range policies {
		wanted[p.Account] = true
	}
	ports := map[mesh.Account][]uint16{}
	for _, w := range m.Workloads {
		if !wanted[w.Account] {
			continue
		}
		for _, p := range w.Ports {
			if !slices.Contains(ports[w.Account], p.Number) {
				ports[w.Account] = append(ports[w.Account], p.Number)
			}
		}
	}
	return ports
}
