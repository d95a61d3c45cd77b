package envoy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// maxLately is how many ports of Services, and how many accounts, are remembered
// of those that one who sends has reached before.
const maxLately = 64

// lately are what one who sends has reached, with the rendering that it was last
// so in. What it reaches no more keeps its listener and its clusters for a while:
// a connection that its application has kept is then judged by the destination,
// as every other, and a grant that comes back holds on it at once.
type lately struct {
	ports    map[portKey]uint64
	accounts map[mesh.Account]uint64
	used     uint64
}

// past is what a class has reached before and reaches no more.
type past struct {
	ports    []*mesh.ServicePort
	accounts []mesh.Account
}

// latelyOf notes what a class reaches, and returns what it has reached before, in
// an order that is the same each time. What is gone from the mesh is forgotten.
func (r *Renderer) latelyOf(m *mesh.Mesh, w *mesh.Workload) past {
	source := mesh.PrincipalOf(r.parts.TrustDomain, w.Account)
	l := r.lately[source]
	if l == nil {
		l = &lately{ports: map[portKey]uint64{}, accounts: map[mesh.Account]uint64{}}
		r.lately[source] = l
	}
	l.used = r.generation
	ports, accounts := maps.Clone(l.ports), maps.Clone(l.accounts)
	for _, sp := range w.Reaches {
		l.ports[keyOf(sp)] = r.generation
		delete(ports, keyOf(sp))
	}
	for _, g := range w.ReachesPods {
		l.accounts[g.Account] = r.generation
		delete(accounts, g.Account)
	}
	var out past
	for _, key := range newest(ports, func(a, b portKey) int { return cmp.Or(a.service.Compare(b.service), cmp.Compare(a.port, b.port)) }, l.ports) {
		if s := m.Service(key.service); s != nil && s.Port(key.port) != nil {
			out.ports = append(out.ports, s.Port(key.port))
		} else {
			delete(l.ports, key)
		}
	}
	out.accounts = newest(accounts, mesh.Account.Compare, l.accounts)
	return out
}

// newest returns the keys of what was last so, sorted, and forgets the others in
// all.
func newest[K comparable](last map[K]uint64, compare func(a, b K) int, all map[K]uint64) []K {
	keys := slices.SortedFunc(maps.Keys(last), func(a, b K) int { return cmp.Or(cmp.Compare(last[b], last[a]), compare(a, b)) })
	for _, key := range keys[min(len(keys), maxLately):] {
		delete(all, key)
	}
	keys = keys[:min(len(keys), maxLately)]
	slices.SortFunc(keys, compare)
	return keys
}
