package xds

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

// Refusal is one version of one resource that proxies refuse at this moment.
type Refusal struct {
	// Type is the type URL.
	Type    string
	Name    string
	Version string
	// Reason is what the first of the proxies, by node id, answered.
	Reason string
	// Count is how often this version was refused, reconnected proxies included.
	Count int
	// Proxies are the node ids of those that refuse it, sorted, never empty.
	Proxies []string
}

// Finding says the same in the form that status and the command line show. Its
// object is the pod of the first proxy.
func (r Refusal) Finding() mesh.Finding {
	namespace, pod, _ := strings.Cut(r.Proxies[0], "/")
	others := ""
	if n := len(r.Proxies) - 1; n > 0 {
		others = fmt.Sprintf(" (and %d more)", n)
	}
	return mesh.Finding{
		Severity: mesh.Error,
		Object:   mesh.ObjectRef{Kind: "Pod", Namespace: namespace, Name: pod},
		Reason:   "ConfigurationRefused",
		Message: fmt.Sprintf("the proxy%s refuses %s %s and keeps its last good configuration: %s",
			others, r.Type[strings.LastIndexByte(r.Type, '.')+1:], r.Name, r.Reason),
	}
}

// Refusals returns what connected proxies refuse of their newest views, sorted
// by type, name and version.
func (s *Server) Refusals() []Refusal {
	s.mu.Lock()
	streams := make([]*stream, 0, len(s.nodes))
	for _, n := range s.nodes {
		if n.stream != nil {
			streams = append(streams, n.stream)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(streams, func(a, b *stream) int { return cmp.Compare(a.id, b.id) })

	found := map[refusalKey]*Refusal{}
	for _, st := range streams {
		st.mu.Lock()
		st.session.eachRefusal(func(key refusalKey, reason string) {
			r := found[key]
			if r == nil {
				r = &Refusal{Type: typeURLs[key.kind], Name: key.name, Version: key.version, Reason: reason}
				found[key] = r
			}
			r.Proxies = append(r.Proxies, st.id)
		})
		st.mu.Unlock()
	}
	all := make([]Refusal, 0, len(found))
	for key, r := range found {
		r.Count = s.refusals.count(key)
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return all
}

func (s *session) eachRefusal(visit func(key refusalKey, reason string)) {
	for k, sub := range s.subscriptions {
		if sub == nil {
			continue
		}
		for name, r := range sub.refused {
			visit(refusalKey{kind: kind(k), name: name, version: r.version}, r.reason)
		}
	}
}

// refusalKey is one version of one resource.
type refusalKey struct {
	kind          kind
	name, version string
}

// maxRefusals bounds what is remembered of refused versions. Beyond it all is
// forgotten, which costs a repeated line in the log.
const maxRefusals = 4096

// refusalBook counts refusals of all proxies, and logs each version once.
type refusalBook struct {
	mu     sync.Mutex
	counts map[refusalKey]int
}

// add counts a refusal.
func (b *refusalBook) add(logger *slog.Logger, node string, k kind, r *envoy.Resource, reason string) {
	key := refusalKey{kind: k, name: r.Name, version: r.Version}
	b.mu.Lock()
	if b.counts == nil || len(b.counts) >= maxRefusals {
		b.counts = map[refusalKey]int{}
	}
	b.counts[key]++
	first := b.counts[key] == 1
	b.mu.Unlock()
	if first {
		logger.Warn("a proxy refused a resource and keeps its last good configuration",
			"node", node, "type", k.String(), "name", r.Name, "version", r.Version, "reason", reason)
	}
}

func (b *refusalBook) count(key refusalKey) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(1, b.counts[key])
}
