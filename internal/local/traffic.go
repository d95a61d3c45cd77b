//go:build linux

package local

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/smi-project/smi/internal/agent/accesslog"
)

// traffic counts what the proxies of all pods report, for the table and for
// smi request. It is a sink of access log entries.
type traffic struct {
	mu sync.Mutex
	// backends counts, per called Service port, where requests went.
	backends map[string]map[string]uint64
	denials  map[Denial]uint64
	requests uint64
}

func newTraffic() *traffic {
	return &traffic{backends: map[string]map[string]uint64{}, denials: map[Denial]uint64{}}
}

// maxSeries bounds each of the maps, which grow with what callers do.
const maxSeries = 10_000

// Observe takes an entry. Requests are counted where they are sent, denials
// where they are refused.
func (t *traffic) Observe(e *accesslog.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Denied {
		d := Denial{Source: peerName(e.Source), Destination: cmp.Or(e.Service, peerName(e.Destination))}
		if _, known := t.denials[d]; known || len(t.denials) < maxSeries {
			t.denials[d]++
		}
		return
	}
	if e.Side != accesslog.Client || e.Service == "" {
		return
	}
	t.requests++
	backends := t.backends[e.Service]
	if backends == nil {
		if len(t.backends) >= maxSeries {
			return
		}
		backends = map[string]uint64{}
		t.backends[e.Service] = backends
	}
	backends[cmp.Or(e.Backend, backendOf(e.UpstreamCluster), e.Service)]++
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
	return cmp.Or(string(p.Principal), "a client without identity")
}

// sent returns how often requests to a Service port went to each backend.
func (t *traffic) sent(service string) map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.backends[service])
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
