package envoy

import (
	"maps"

	"github.com/smi-project/smi/mesh"
)

// Epochs are what filter chains depend on beside the mesh: per destination
// account, port and source, how often something that was granted has been
// withdrawn. A new epoch renames the source's filter chain, and Envoy then
// drains that chain and no other (AC-17). On ports with many sources they also
// remember who shares a chain (see Seat). Epochs never change: Bump and Seat
// return new ones that share what did not change.
type Epochs struct {
	accounts map[mesh.Account]*accountEpochs
}

type accountEpochs struct {
	ports map[uint16]*portEpochs
}

// portEpochs are those of one port. A source that has lost its last grant stays
// in counts, and keeps its chain: what is open there is to be denied and
// drained, which a chain that is gone could not be told any more.
type portEpochs struct {
	counts map[mesh.Principal]uint64
	// shared are the sources without a chain of their own, buckets the epochs of
	// the chains that they share.
	shared  map[mesh.Principal]bool
	buckets map[string]uint64
	// others is the epoch of the chain of those without a grant. What a source
	// opened there before its first grant is out of reach of its own epoch, so
	// every withdrawal counts.
	others uint64
}

// Of returns the epoch of the filter chain of a source at a port of the
// destination account.
func (e Epochs) Of(destination mesh.Account, port uint16, source mesh.Principal) uint64 {
	p := e.port(destination, port)
	if p.shares(source) {
		return p.buckets[bucketOf(SourceName(source))]
	}
	return p.of(source)
}

// Bump returns the epochs after something was withdrawn from the sources at a
// port of the destination account.
func (e Epochs) Bump(destination mesh.Account, port uint16, sources ...mesh.Principal) Epochs {
	next := e.port(destination, port).clone()
	next.others++
	for _, source := range sources {
		if next.shared[source] {
			next.buckets[bucketOf(SourceName(source))]++
		} else {
			next.counts[source]++
		}
	}
	return e.with(destination, port, next)
}

func (e Epochs) port(destination mesh.Account, port uint16) *portEpochs {
	return e.accounts[destination].port(port)
}

func (e Epochs) with(destination mesh.Account, port uint16, p *portEpochs) Epochs {
	next := Epochs{accounts: maps.Clone(e.accounts)}
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

func (p *portEpochs) clone() *portEpochs {
	next := &portEpochs{counts: map[mesh.Principal]uint64{}, shared: map[mesh.Principal]bool{}, buckets: map[string]uint64{}}
	if p != nil {
		maps.Copy(next.counts, p.counts)
		maps.Copy(next.shared, p.shared)
		maps.Copy(next.buckets, p.buckets)
		next.others = p.others
	}
	return next
}

func (p *portEpochs) of(source mesh.Principal) uint64 {
	if p == nil {
		return 0
	}
	return p.counts[source]
}

func (p *portEpochs) shares(source mesh.Principal) bool { return p != nil && p.shared[source] }
