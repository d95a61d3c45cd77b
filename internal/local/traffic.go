//go:build linux

package local

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/mesh"
)

// traffic counts what the proxies of all pods report, for the table and for
// smi request. It is a sink of access log entries.
type traffic struct {
	mu sync.Mutex
	// shares counts, per split, where requests went since its weights are what
	// they are.
	shares  map[splitKey]*share
	denials map[Denial]uint64
}

// splitKey is a TrafficSplit at one port of its root: "namespace/name", and
// "namespace/name:port".
type splitKey struct{ split, service string }

type share struct {
	weights  string
	backends map[string]uint64
}

func newTraffic() *traffic {
	return &traffic{shares: map[splitKey]*share{}, denials: map[Denial]uint64{}}
}

// maxDenials bounds how many pairs are told apart, as callers can add to them.
const maxDenials = 10_000

// Observe takes an entry. Requests are counted where they are sent, denials
// where they are refused.
func (t *traffic) Observe(e *accesslog.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Denied {
		// A sidecar that refuses a call for want of any grant knows the callee only
		// by what the caller wrote.
		d := Denial{Source: cmp.Or(peerName(e.Source), "a client without identity"), Destination: cmp.Or(e.Service, peerName(e.Destination), e.Authority, "unknown")}
		if _, known := t.denials[d]; known || len(t.denials) < maxDenials {
			t.denials[d]++
		}
		return
	}
	if s := t.shares[splitKey{e.Split, e.Service}]; s != nil && e.Side == accesslog.Client {
		s.backends[cmp.Or(e.Backend, backendOf(e.UpstreamCluster), e.Service)]++
	}
}

// follow takes over the splits of a new mesh. One whose weights are others
// starts over, as what was observed before says nothing about it.
func (t *traffic) follow(m *mesh.Mesh) {
	t.mu.Lock()
	defer t.mu.Unlock()
	current := map[splitKey]*share{}
	for _, service := range m.Services {
		for _, port := range service.Ports {
			for _, split := range port.Splits {
				key := keyOf(port, split)
				s := t.shares[key]
				if weights := weightsOf(split); s == nil || s.weights != weights {
					s = &share{weights: weights, backends: map[string]uint64{}}
				}
				current[key] = s
			}
		}
	}
	t.shares = current
}

// sent returns how many requests a split sent to each backend.
func (t *traffic) sent(key splitKey) map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.shares[key]; s != nil {
		return maps.Clone(s.backends)
	}
	return nil
}

// denied returns the denials, the most frequent first.
func (t *traffic) denied() []DenialCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]DenialCount, 0, len(t.denials))
	for d, n := range t.denials {
		list = append(list, DenialCount{d, n})
	}
	slices.SortFunc(list, func(a, b DenialCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Destination, b.Destination))
	})
	return list
}

// backendOf reads the Service out of the name of a cluster,
// outbound|<port>|<service>.<namespace>.
func backendOf(cluster string) string {
	parts := strings.Split(cluster, "|")
	if len(parts) != 3 || parts[0] != "outbound" {
		return ""
	}
	service, namespace, _ := strings.Cut(parts[2], ".")
	return namespace + "/" + service + ":" + parts[1]
}

func peerName(p accesslog.Peer) string {
	if p.Account.Name != "" {
		return p.Account.String()
	}
	return string(p.Principal)
}
