package controlplane

import (
	"fmt"
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
	if slices.Equal(from.Policies, to.Policies) {
		return epochs
	}
	var ports map[mesh.Account][]uint16
	for _, before := range from.Policies {
		after := to.Policy(before.Account)
		if after == before {
			continue
		}
		if ports == nil {
			ports = servedPorts(to)
		}
		lost := map[loss]bool{}
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
		for l := range lost {
			epochs = epochs.Bump(before.Account, l.port, l.source)
		}
	}
	return epochs
}

// loss is a source that lost something at a port.
type loss struct {
	port   uint16
	source mesh.Principal
}

// collectLosses adds the sources that had something at the port by a grant
// that is gone and have it no more.
func collectLosses(lost map[loss]bool, gone *mesh.Grant, after *mesh.Policy, port uint16) {
	for _, source := range gone.Sources {
		if !stillAllowed(gone, after, port, source) {
			lost[loss{port, source}] = true
		}
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

// servedPorts are the ports that each account's pods serve.
func servedPorts(m *mesh.Mesh) map[mesh.Account][]uint16 {
	ports := map[mesh.Account][]uint16{}
	for _, w := range m.Workloads {
		for _, p := range w.Ports {
			if !slices.Contains(ports[w.Account], p.Number) {
				ports[w.Account] = append(ports[w.Account], p.Number)
			}
		}
	}
	return ports
}
