package accesslog

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/smi-project/smi/mesh"
)

// DefaultMaxEdges is how many edges a Metrics tells apart unless told otherwise.
const DefaultMaxEdges = 2000

// maxAddressEdges is how many edges to addresses it tells apart besides. An
// application chooses what addresses it calls: one that tries many must not take
// the places of the edges between workloads.
const maxAddressEdges = 64

// Other is the label value of everything about an edge that came after its
// limit of edges was reached.
const Other = "other"

// edgeLabels are on every series. Their values are verified or enumerated, but for
// one: the service is the "<address>:<port>" that the application has called where
// that is no Service, as a denial of such a call has it. Hence maxAddressEdges.
var edgeLabels = []string{
	"side", "protocol",
	"source_namespace", "source_account", "source_workload", "source_pod",
	"destination_namespace", "destination_account", "destination_workload", "destination_pod",
	"service", "backend",
}

// edge is the values of edgeLabels.
type edge [12]string

// toAddress tells whether an edge leads to an address rather than to a Service.
func (e *edge) toAddress() bool {
	_, err := netip.ParseAddrPort(e[10])
	return err == nil
}

// Metrics counts entries in the mesh's series:
//
//	smi_requests_total{response_class, result}  requests; result is "success" or "failure" (TM-3)
//	smi_request_duration_seconds                histogram of their durations
//	smi_connections_total{result}               TCP connections that ended
//	smi_denied_total{enforced}                  what was refused ("true"), or would have been in
//	                                            strict mode ("false", AC-16)
//
// All of them carry the labels of the edge: side, protocol, namespace, account,
// workload and pod of source and destination, service and backend. A denial is
// in smi_denied_total alone. The number of edges is bounded, and apart from it
// that of edges to addresses: what comes after goes to one edge per side and
// protocol whose other labels are Other.
//
// Metrics is a Sink and a prometheus.Collector.
type Metrics struct {
	requests, connections, denied *prometheus.CounterVec
	duration                      *prometheus.HistogramVec

	maxEdges int
	mu       sync.Mutex
	// edges are those that are told apart, rest those that the others are
	// counted under; toAddresses is how many of edges lead to addresses.
	edges, rest map[edge]*series
	toAddresses int
}

// series are those of one edge that were counted in before. To look one up by
// its labels costs more than all else that is done for an entry.
type series struct {
	edge     edge
	counters map[outcome]prometheus.Counter
	duration prometheus.Observer
}

// outcome is a kind of series, and the values of the labels that it has besides
// the edge's.
type outcome struct {
	of          *prometheus.CounterVec
	first, more string
}

// NewMetrics makes empty metrics that tell at most maxEdges edges apart, or
// DefaultMaxEdges where that is 0, not counting those to addresses.
func NewMetrics(maxEdges int) *Metrics {
	if maxEdges <= 0 {
		maxEdges = DefaultMaxEdges
	}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels(more...))
	}
	return &Metrics{
		requests:    counter("smi_requests_total", "Requests that were allowed, by class of response and result.", "response_class", "result"),
		connections: counter("smi_connections_total", "TCP connections that were allowed and have ended, by result.", "result"),
		denied:      counter("smi_denied_total", "Requests and connections without a grant, refused (enforced) or only reported.", "enforced"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "smi_request_duration_seconds",
			Help:    "Time from the first byte of a request to the last byte of its response.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, labels()),
		maxEdges: maxEdges,
		edges:    map[edge]*series{},
		rest:     map[edge]*series{},
	}
}

func labels(more ...string) []string { return append(append([]string{}, edgeLabels...), more...) }

// Observe counts an entry. One without a side is not of the mesh's own
// listeners and is not counted.
func (m *Metrics) Observe(e *Entry) {
	if e.Side == "" {
		return
	}
	at := edgeOf(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.admit(at)
	if e.Denied || e.WouldDeny {
		s.count(outcome{of: m.denied, first: strconv.FormatBool(e.Denied)})
	}
	if e.Denied {
		return
	}
	result := "success"
	if e.Failed() {
		result = "failure"
	}
	if e.Protocol == TCP {
		s.count(outcome{of: m.connections, first: result})
		return
	}
	s.count(outcome{of: m.requests, first: responseClass(e.Code), more: result})
	if s.duration == nil {
		s.duration = m.duration.WithLabelValues(s.edge[:]...)
	}
	s.duration.Observe(e.Duration.Seconds())
}

func (s *series) count(o outcome) {
	counter := s.counters[o]
	if counter == nil {
		values := append(s.edge[:len(s.edge):len(s.edge)], o.first)
		if o.more != "" {
			values = append(values, o.more)
		}
		counter = o.of.WithLabelValues(values...)
		s.counters[o] = counter
	}
	counter.Inc()
}

func edgeOf(e *Entry) edge {
	sourceNamespace, sourceAccount := accountLabels(e.Source)
	destinationNamespace, destinationAccount := accountLabels(e.Destination)
	return edge{
		string(e.Side), string(e.Protocol),
		sourceNamespace, sourceAccount, e.Source.Workload, e.Source.Pod,
		destinationNamespace, destinationAccount, e.Destination.Workload, e.Destination.Pod,
		e.Service, e.Backend,
	}
}

// accountLabels are namespace and name of an account; a foreign identity (ID-4)
// has no namespace and goes by its SPIFFE id.
func accountLabels(p Peer) (namespace, name string) {
	if p.Account == (mesh.Account{}) {
		return "", string(p.Principal)
	}
	return p.Account.Namespace, p.Account.Name
}

// admit returns the series of the edge to count under: the given one while
// there is room.
func (m *Metrics) admit(at edge) *series {
	if s := m.edges[at]; s != nil {
		return s
	}
	among := m.edges
	if !m.takePlace(&at) {
		for i := 2; i < len(at); i++ {
			at[i] = Other
		}
		among = m.rest
	}
	s := among[at]
	if s == nil {
		s = &series{edge: at, counters: map[outcome]prometheus.Counter{}}
		among[at] = s
	}
	return s
}

// takePlace tells whether there is room for one more edge of its kind, and takes it.
func (m *Metrics) takePlace(at *edge) bool {
	if !at.toAddress() {
		return len(m.edges)-m.toAddresses < m.maxEdges
	}
	if m.toAddresses >= maxAddressEdges {
		return false
	}
	m.toAddresses++
	return true
}

func responseClass(code int) string {
	if code < 100 || code > 599 {
		return "none"
	}
	return responseClasses[code/100-1]
}

var responseClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.duration, m.connections, m.denied}
}

// Handler serves the metrics, and nothing else, to a scraper.
func (m *Metrics) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
