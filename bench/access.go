package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
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
	// ready is how long the sidecar took to start, pid its Envoy.
	ready time.Duration
	pid   int
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
	cases := []*accessCase{newAccessCase(0, 10), newAccessCase(1, 1000), newAccessCase(2, 10_000), newAccessCase(3, 0)}
	stop, err := startCases(ctx, ca, cases)
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
	var rows [][]string
	for _, c := range cases {
		cpu := sample{}
		for i := range c.cpu {
			cpu.add(c.cpu[i] / cases[0].cpu[i])
		}
		rows = append(rows, []string{
			c.name(), c.rate.spread(perSec), us(c.p50.median()), c.against.spread(ratio), us(c.cpu.median()), cpu.spread(ratio),
			fmt.Sprintf("%.1f s", c.ready.Seconds()), fmt.Sprintf("%.0f MB", residentBytes(c.pid)/1e6),
		})
	}
	b.out.note("one worker, %d connections over mutual TLS that never pause, one expression for paths; in turns, %d rounds of %s each;", callers, rounds, length)
	b.out.note("median (least to greatest); ratios above 1 are dearer than 10 sources")
	b.out.table([]string{"destination", "requests", "p50", "ratio of rates", "Envoy's processor time per request", "ratio of it", "ready after", "Envoy's memory"}, rows)
	return nil
}

// startCases starts the application and one sidecar per case.
func startCases(ctx context.Context, ca *identity.CA, cases []*accessCase) (stop func(), err error) {
	certificate, key, err := ca.MarshalPEM()
	if err != nil {
		return nil, err
	}
	var addresses []string
	question := hostQuestion{Metrics: envoy.NoMetrics, CertificatePEM: certificate, KeyPEM: key}
	for _, c := range cases {
		addresses = append(addresses, c.pod.App+":8080")
		question.Pods = append(question.Pods, c.pod)
	}
	app, err := startApp(addresses...)
	if err != nil {
		return nil, err
	}
	host, answer, err := startHost(question)
	if err != nil {
		app.stop()
		return nil, err
	}
	stop = func() {
		host.stop()
		app.stop()
	}
	for i, c := range cases {
		c.ready = answer.Ready[i]
		if err := c.prepare(ctx, ca, host); err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	return stop, nil
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
