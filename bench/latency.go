package main

import (
	"context"
	"fmt"
	"time"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
)

// Addresses of the latency suite, on loopback.
const (
	oursClient, oursServer = "127.77.0.1", "127.77.0.2"
	bareClientAddress      = "127.78.0.1"
	bareServerAddress      = "127.78.0.2"
	appAddress             = "127.77.1.2"
	connections            = 32
)

// metricsSource is a way in which sidecars report.
type metricsSource struct {
	name    string
	metrics envoy.Metrics
}

var metricsSources = []metricsSource{
	{"access log service", envoy.ALS},
	{"stats access logger", envoy.Stats},
	{"nothing", envoy.NoMetrics},
}

// latencyFigures are what several rounds have shown of one pair of proxies. cpu
// is what the two Envoys used per request, agents what their agents used beside
// them.
type latencyFigures struct{ p50, p99, cpu, agents, late sample }

// pair is two proxies in a row, as processes. The agents of ours are one process;
// bare ones have none.
type pair struct{ envoys, agents []int }

func runLatency(ctx context.Context, b *bench) error {
	rates, rounds, length := []float64{500, 1000}, 5, 4*time.Second
	if b.quick {
		rates, rounds, length = []float64{1000}, 3, 1500*time.Millisecond
	}
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		return err
	}
	app, err := startApp(appAddress + ":8080")
	if err != nil {
		return err
	}
	defer app.stop()
	bare, err := startBare(ctx, ca, bareClientAddress, bareServerAddress, appAddress)
	if err != nil {
		return err
	}
	defer bare.stop()
	l := &latencySuite{rates: rates, rounds: rounds, length: length, bare: bare}
	for _, source := range metricsSources {
		if err := l.compare(ctx, ca, source); err != nil {
			return fmt.Errorf("%s: %w", source.name, err)
		}
	}
	if err := l.direct(ctx, rates[0]); err != nil {
		return err
	}
	b.out.note("open loop, %d connections that are kept alive, one worker each, HTTP/1.1; latency from the intended time of sending;", connections)
	b.out.note("ours and bare take turns, %d rounds of %s each; median of rounds (least to greatest); ratios are of neighbouring rounds", rounds, length)
	b.out.table([]string{"reports by", "rate", "our p50", "bare p50", "ratio p50", "our p99", "bare p99", "ratio p99", "processor time per request", "bare", "our agents"}, l.rows)
	b.out.note("without any proxy: p50 %s, p99 %s; requests were sent %s (p50), %s (p99) after the intended time",
		us(l.plain.p50.median()), us(l.plain.p99.median()), us(l.plain.late.quantile(0.5)), us(l.plain.late.quantile(0.99)))
	return nil
}

type latencySuite struct {
	rates  []float64
	rounds int
	length time.Duration
	bare   *bareEnvoys
	plain  latencyFigures
	rows   [][]string
}

// compare runs our two sidecars and lets them take turns with the bare ones.
func (l *latencySuite) compare(ctx context.Context, ca *identity.CA, source metricsSource) error {
	certificate, key, err := ca.MarshalPEM()
	if err != nil {
		return err
	}
	host, _, err := startHost(hostQuestion{
		Metrics: source.metrics, CertificatePEM: certificate, KeyPEM: key,
		Pods: []hostPod{
			{Name: "client", Sidecar: oursClient, App: "127.77.1.1", Callers: []string{"nobody"}, Upstreams: map[string]uint16{"server": 20001}},
			{Name: "server", Sidecar: oursServer, App: appAddress, Callers: []string{"client"}},
		},
	})
	if err != nil {
		return err
	}
	defer host.stop()
	ours, bare := get(oursClient+":20001", "server.bench"), get(bareClientAddress+":15001", "server.bench")
	for _, t := range []target{ours, bare} {
		if err := eventually(ctx, 20*time.Second, t.try); err != nil {
			return err
		}
	}
	our, theirs := pair{envoysOf(host.pid()), []int{host.pid()}}, pair{envoys: l.bare.pids()}
	for _, rate := range l.rates {
		a, b := &latencyFigures{}, &latencyFigures{}
		var p50, p99 sample
		for range l.rounds {
			if err := l.round(ctx, ours, rate, our, a); err != nil {
				return err
			}
			if err := l.round(ctx, bare, rate, theirs, b); err != nil {
				return err
			}
			last := len(a.p50) - 1
			p50.add(a.p50[last] / b.p50[last])
			p99.add(a.p99[last] / b.p99[last])
		}
		l.rows = append(l.rows, []string{
			source.name, perSec(rate), us(a.p50.median()), us(b.p50.median()), p50.spread(ratio),
			us(a.p99.median()), us(b.p99.median()), p99.spread(ratio), us(a.cpu.median()), us(b.cpu.median()), us(a.agents.median()),
		})
	}
	return nil
}

// round measures one pair of proxies for a while.
func (l *latencySuite) round(ctx context.Context, t target, rate float64, p pair, f *latencyFigures) error {
	envoys, agents := usedBy(p.envoys), usedBy(p.agents)
	m, err := t.openLoop(ctx, rate, connections, l.length)
	if err != nil {
		return err
	}
	f.p50.add(m.latencies.quantile(0.5))
	f.p99.add(m.latencies.quantile(0.99))
	requests := float64(len(m.latencies))
	f.cpu.add((usedBy(p.envoys) - envoys).Seconds() / requests)
	f.agents.add((usedBy(p.agents) - agents).Seconds() / requests)
	f.late = append(f.late, m.late...)
	return nil
}

// direct measures the application alone, which is part of every latency.
func (l *latencySuite) direct(ctx context.Context, rate float64) error {
	return l.round(ctx, get(appAddress+":8080", "server.bench"), rate, pair{}, &l.plain)
}

func usedBy(pids []int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		sum += processorTimeOf(pid)
	}
	return sum
}
