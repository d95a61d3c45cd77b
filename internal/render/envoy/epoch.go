package envoy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// Epochs are what filter chains depend on beside the mesh: per destination
// account, port and source, which withdrawal was the last that concerned it. A
// new epoch renames the source's filter chain, and Envoy then drains that chain
// and no other (AC-17). Epochs never change: Bump and Retain return new ones that
// share what did not change.
type Epochs struct {
	accounts map[mesh.Account]*accountEpochs
	// base is what the first withdrawal at a port is counted after.
	base uint64
}

// NewEpochs returns epochs without any withdrawal, which count those to come after
// base. Control planes that count after different ones, far from each other, never
// give two chains the same name by chance.
func NewEpochs(base uint64) Epochs { return Epochs{base: base} }

type accountEpochs struct {
	ports map[uint16]*portEpochs
}

// portEpochs are those of one port.
type portEpochs struct {
	// withdrawals counts those at the port. It is the epoch of the chain of those
	// without a grant: what a source opened there before its first grant is out of
	// reach of its own epoch, so every withdrawal counts.
	withdrawals uint64
	// last is, for each source that lost something, the number of its last
	// withdrawal. One that has nothing left stays for a while, and keeps its chain:
	// what is open there is to be denied and drained, which a chain that is gone
	// could not be told any more.
	last map[mesh.Principal]uint64
}

// maxWithoutGrant is how many sources of a port keep a chain though they have
// nothing left: those that lost it last.
const maxWithoutGrant = 256

// Of returns the epoch of a source at a port of the destination account.
func (e Epochs) Of(destination mesh.Account, port uint16, source mesh.Principal) uint64 {
	return e.accounts[destination].port(port).of(source)
}

// Bump returns the epochs after something was withdrawn from the sources at a
// port of the destination account.
func (e Epochs) Bump(destination mesh.Account, port uint16, sources ...mesh.Principal) Epochs {
	old := e.accounts[destination].port(port)
	next := &portEpochs{withdrawals: e.base + 1, last: map[mesh.Principal]uint64{}}
	if old != nil {
		next.withdrawals = old.withdrawals + 1
		maps.Copy(next.last, old.last)
	}
	for _, source := range sources {
		next.last[source] = next.withdrawals
	}
	return e.with(destination, port, next)
}

// Retain returns the epochs without what cannot matter any more: accounts that the
// mesh has no pods of, since nobody holds a chain of theirs, and at each port all
// but the last maxWithoutGrant of those who have nothing left there.
func (e Epochs) Retain(m *mesh.Mesh) Epochs {
	if len(e.accounts) == 0 {
		return e
	}
	kept := map[mesh.Account]*accountEpochs{}
	for _, w := range m.Workloads {
		if a := e.accounts[w.Account]; a != nil {
			kept[w.Account] = a
		}
	}
	next := Epochs{accounts: kept, base: e.base}
	for account, a := range kept {
		for port, p := range a.ports {
			if old := p.forgotten(m.Policy(account), port); len(old) > 0 {
				trimmed := &portEpochs{withdrawals: p.withdrawals, last: maps.Clone(p.last)}
				for _, source := range old {
					delete(trimmed.last, source)
				}
				next = next.with(account, port, trimmed)
			}
		}
	}
	return next
}

// forgotten are those who have nothing left at the port and lost it too long ago
// to keep a chain.
func (p *portEpochs) forgotten(policy *mesh.Policy, port uint16) []mesh.Principal {
	if len(p.last) <= maxWithoutGrant {
		return nil
	}
	granted := map[mesh.Principal]bool{}
	if policy != nil {
		for _, g := range policy.Grants {
			if g.Covers(port) {
				for _, source := range g.Sources {
					granted[source] = true
				}
			}
		}
	}
	var left []mesh.Principal
	for source := range p.last {
		if !granted[source] {
			left = append(left, source)
		}
	}
	slices.SortFunc(left, func(a, b mesh.Principal) int {
		return cmp.Or(cmp.Compare(p.last[b], p.last[a]), cmp.Compare(a, b))
	})
	return left[min(len(left), maxWithoutGrant):]
}

func (e Epochs) with(destination mesh.Account, port uint16, p *portEpochs) Epochs {
	next := Epochs{accounts: maps.Clone(e.accounts), base: e.base}
	if next.accounts == nil {
		next.accounts = map[mesh.Account]*accountEpochs{}
	}
	account := &accountEpochs{ports: map[uint16]*portEpochs{}}
	if old := e.accounts[destination]; old != nil {
		maps.Copy(account.ports, old.ports)
	}
	account.ports[port] = p
	next.accounts[destination] = account
	return next
}

func (a *accountEpochs) port(port uint16) *portEpochs {
	if a == nil {
		return nil
	}
	return a.ports[port]
}

func (p *portEpochs) of(source mesh.Principal) uint64 {
	if p == nil {
		return 0
	}
	return p.last[source]
}
