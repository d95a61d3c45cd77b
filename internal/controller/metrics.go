package controller

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/xds"
)

// metrics are what a replica tells of itself.
type metrics struct {
	push, step *prometheus.HistogramVec
	proxies    *prometheus.GaugeVec
	rejections prometheus.Counter
	leader     prometheus.Gauge
	caExpiry   prometheus.Gauge
	queue      prometheus.Gauge

	mu    sync.Mutex
	plane *controlplane.ControlPlane
	// since is when the first change came that is in no push yet, and taken the one
	// of the push that is being made; zero where there is none.
	since, taken time.Time
	// states are how far proxies are, by node.
	states map[string]xds.ProxyStatus
	// awaited are the proxies that have not acknowledged everything, and awaitedSince
	// when the first change came that they were sent.
	awaited      map[string]bool
	awaitedSince time.Time
}

// States of proxies.
const (
	stateConnected = "connected"
	stateInSync    = "in_sync"
	stateRejecting = "rejecting"
)

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		push: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "smi_controller_push_seconds",
			Help: "Time from an event of the cluster until its consequences were handed to the streams of all proxies (published), and until every connected proxy had acknowledged them (acknowledged).",
			// A change waits 50 ms for others to follow.
			Buckets: []float64{0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30},
		}, []string{"until"}),
		step: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "smi_controller_step_seconds",
			Help:    "Time that the parts of a push take: compile, render, publish.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, []string{"step"}),
		proxies: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "smi_controller_proxies",
			Help: "Proxies of this replica: connected, of these in_sync with all that they were sent, and rejecting some of it.",
		}, []string{"state"}),
		rejections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "smi_controller_rejections_total",
			Help: "How often a proxy began to reject something (NACK). The log says what and why.",
		}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "smi_controller_leader", Help: "1 for the replica that writes.",
		}),
		caExpiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "smi_controller_ca_expiry_timestamp_seconds",
			Help: "When the first certificate of the mesh's certificate authority ends, in seconds since 1970.",
		}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "smi_controller_status_queue", Help: "Objects whose status is to be written.",
		}),
		states: map[string]xds.ProxyStatus{}, awaited: map[string]bool{},
	}
	registry.MustRegister(m.push, m.step, m.proxies, m.rejections, m.leader, m.caExpiry, m.queue)
	for _, state := range []string{stateConnected, stateInSync, stateRejecting} {
		m.proxies.WithLabelValues(state).Set(0)
	}
	return m
}

// follow tells whose proxies are meant.
func (m *metrics) follow(plane *controlplane.ControlPlane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plane = plane
}

// changed notes when the cluster changed.
func (m *metrics) changed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		m.since = time.Now()
	}
}

func (m *metrics) beforePush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken, m.since = m.since, time.Time{}
}

func (m *metrics) afterPush(p controlplane.Push) {
	m.step.WithLabelValues("compile").Observe(p.Compile.Seconds())
	m.step.WithLabelValues("render").Observe(p.Render.Seconds())
	m.step.WithLabelValues("publish").Observe(p.Publish.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken.IsZero() {
		return
	}
	m.push.WithLabelValues("published").Observe(time.Since(m.taken).Seconds())
	if m.awaitedSince.IsZero() {
		m.awaitedSince = m.taken
	}
	m.taken = time.Time{}
	go m.await()
}

// await collects the proxies that have to acknowledge.
func (m *metrics) await() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.plane.Proxies() {
		if p.Connected && !p.Synced && p.LastError == "" {
			m.awaited[p.Node] = true
		}
	}
	m.acknowledged()
}

// acknowledged observes that everybody has acknowledged, if so. m.mu is held.
func (m *metrics) acknowledged() {
	if len(m.awaited) == 0 && !m.awaitedSince.IsZero() {
		m.push.WithLabelValues("acknowledged").Observe(time.Since(m.awaitedSince).Seconds())
		m.awaitedSince = time.Time{}
	}
}

// proxy takes over how far a proxy is.
func (m *metrics) proxy(p xds.ProxyStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.states[p.Node]
	m.count(before, -1)
	m.count(p, 1)
	m.states[p.Node] = p
	if !p.Connected {
		delete(m.states, p.Node)
	}
	if p.LastError != "" && p.LastError != before.LastError {
		m.rejections.Inc()
	}
	if m.awaited[p.Node] && (p.Synced || !p.Connected || p.LastError != "") {
		delete(m.awaited, p.Node)
		m.acknowledged()
	}
}

func (m *metrics) count(p xds.ProxyStatus, by float64) {
	for state, holds := range map[string]bool{stateConnected: p.Connected, stateInSync: p.Connected && p.Synced, stateRejecting: p.Connected && p.LastError != ""} {
		if holds {
			m.proxies.WithLabelValues(state).Add(by)
		}
	}
}
