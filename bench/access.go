package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// accessCase is a destination with a number of sources; none means that it does
// not ask who calls.
type accessCase struct {
	sources int
	target  target
	pod     hostPod
	// rate, p50 and cpu are in requests per second, seconds, and seconds of
	// Envoy's processor time per request; against is the rate beside that of the
	// first case in the same turn.
	rate, p50, cpu, against sample
	// ready is how long the sidecar took to start, grown how long to take one more
	// source; pid is its Envoy, memory what that had before it grew.
	ready  time.Duration
	grown  sample
	pid    int
	memory float64
}

func (c *accessCase) name() string {
	if c.sources == 0 {
		return "not enforced"
	}
	return fmt.Sprintf("%d sources", c.sources)
}

func caller(i int) string { return fmt.Sprintf("caller-%05d", i) }

func newAccessCase(i, sources int) *accessCase {
	c := &accessCase{sources: sources, pod: hostPod{
		Name: fmt.Sprintf("dest-%d", sources), Sidecar: fmt.Sprintf("127.79.0.%d", i+1), App: fmt.Sprintf("127.79.1.%d", i+1),
	}}
	for n := range sources {
		c.pod.Callers = append(c.pod.Callers, caller(n))
	}
	return c
}

// runAccess calls sidecars directly, as a source that is somewhere in the
// middle of those that may.
func runAccess(ctx context.Context, b *bench) error {
	rounds, length, callers := 9, 3*time.Second, 16
	if b.quick {
		rounds, length = 3, time.Second
	}
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		return err
	}
	cases := []*accessCase{newAccessCase(0, 10), newAccessCase(1, 100), newAccessCase(2, 1000), newAccessCase(3, 10_000), newAccessCase(4, 0)}
	host, stop, err := startCases(ctx, ca, cases)
	if err != nil {
		return err
	}
	defer stop()
	for range rounds {
		for _, c := range cases {
			before := processorTimeOf(c.pid)
			m, err := c.target.closedLoop(ctx, callers, length)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name(), err)
			}
			requests := float64(len(m.latencies))
			c.rate.add(requests / m.elapsed.Seconds())
			c.p50.add(m.latencies.quantile(0.5))
			c.cpu.add((processorTimeOf(c.pid) - before).Seconds() / requests)
			first := cases[0].rate
			c.against.add(first[len(first)-1] / c.rate[len(c.rate)-1])
		}
	}
	for _, c := range cases {
		c.memory = residentBytes(c.pid)
		for range rounds {
			if err := c.grow(host); err != nil {
				return fmt.Errorf("%s: %w", c.name(), err)
			}
		}
	}
	var rows, chains [][]string
	for _, c := range cases {
		cpu := sample{}
		for i := range c.cpu {
			cpu.add(c.cpu[i] / cases[0].cpu[i])
		}
		rows = append(rows, []string{
			c.name(), c.rate.spread(perSec), us(c.p50.median()), c.against.spread(ratio), us(c.cpu.median()), cpu.spread(ratio),
		})
		chains = append(chains, []string{
			c.name(), fmt.Sprintf("%.1f s", c.ready.Seconds()), fmt.Sprintf("%.0f MB", c.memory/1e6), c.grown.spread(ms), c.listener(),
		})
	}
	b.out.note("one worker, %d connections over mutual TLS that never pause, one expression for paths; in turns, %d rounds of %s each;", callers, rounds, length)
	b.out.note("median (least to greatest); ratios above 1 are dearer than 10 sources")
	b.out.table([]string{"destination", "requests", "p50", "ratio of rates", "Envoy's processor time per request", "ratio of it"}, rows)
	b.out.note("until Envoy is ready, and the memory that it has after these requests; until it has acknowledged one more source")
	b.out.table([]string{"destination", "ready after", "Envoy's memory", "one more source", "listener"}, chains)
	return nil
}

// startCases starts the application and one sidecar per case.
func startCases(ctx context.Context, ca *identity.CA, cases []*accessCase) (host *child, stop func(), err error) {
	certificate, key, err := ca.MarshalPEM()
	if err != nil {
		return nil, nil, err
	}
	var addresses []string
	question := hostQuestion{Metrics: envoy.NoMetrics, CertificatePEM: certificate, KeyPEM: key}
	for _, c := range cases {
		addresses = append(addresses, c.pod.App+":8080")
		question.Pods = append(question.Pods, c.pod)
	}
	app, err := startApp(addresses...)
	if err != nil {
		return nil, nil, err
	}
	host, answer, err := startHost(question)
	if err != nil {
		app.stop()
		return nil, nil, err
	}
	stop = func() {
		host.stop()
		app.stop()
	}
	for i, c := range cases {
		c.ready = answer.Ready[i]
		if err := c.prepare(ctx, ca, host); err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	return host, stop, nil
}

// grow lets one more source call the case's pod.
func (c *accessCase) grow(host *child) error {
	answer := &hostAnswer{}
	if err := host.ask(hostQuestion{Grow: c.pod.Name}, answer); err != nil {
		return err
	}
	c.grown.addTime(answer.Grown)
	return nil
}

// listener is how large the listener of the case's port is.
func (c *accessCase) listener() string {
	s := store.New()
	s.Put(c.pod.objects()...)
	m := compile.New(compile.Config{}).Compile(s.Snapshot())
	proxy := envoy.Proxy{Node: c.pod.Name, Workload: m.Workloads[0], Placement: c.pod.placement(nil)}
	for _, r := range envoy.New(envoy.Options{Metrics: envoy.NoMetrics}).Render(m, []envoy.Proxy{proxy}, envoy.Epochs{})[c.pod.Name] {
		if r.Name == "inbound|8080" && strings.HasSuffix(r.Type, ".Listener") {
			return fmt.Sprintf("%.2f MB", float64(r.Size())/1e6)
		}
	}
	return ""
}

// prepare makes the case's client and finds the case's Envoy: the one that uses
// the processor when it is called.
func (c *accessCase) prepare(ctx context.Context, ca *identity.CA, host *child) error {
	account := mesh.Account{Namespace: benchNamespace, Name: caller(c.sources / 2)}
	svid, err := issue(ctx, ca, account)
	if err != nil {
		return err
	}
	server := mesh.PrincipalOf(ca.TrustDomain(), c.pod.mesh())
	c.target = get(c.pod.Sidecar+":8080", "dest")
	c.target.tls = identity.ClientTLS(current{svid}, ca.Bundle(), server)
	c.target.tls.NextProtos = nil
	c.target.tls.ServerName = envoy.SourceName(svid.Principal)
	c.target.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	if err := eventually(ctx, 20*time.Second, c.target.try); err != nil {
		return err
	}
	before := map[int]time.Duration{}
	for _, pid := range envoysOf(host.pid()) {
		before[pid] = processorTimeOf(pid)
	}
	if _, err := c.target.closedLoop(ctx, 4, 200*time.Millisecond); err != nil {
		return err
	}
	var most time.Duration
	for pid, was := range before {
		if used := processorTimeOf(pid) - was; used > most {
			most, c.pid = used, pid
		}
	}
	return nil
}

// current holds one certificate.
type current struct{ svid *identity.SVID }

func (c current) Current() *identity.SVID { return c.svid }
