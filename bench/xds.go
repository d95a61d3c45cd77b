package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/mesh"
)

// quiet is how long nothing must come before a change counts as done.
const quiet = 400 * time.Millisecond

// xdsFigures are those of a fleet of one size.
type xdsFigures struct {
	connect   time.Duration
	initial   float64
	heap, rss float64
	changes   []propagation
}

// propagation is what became of a kind of change.
type propagation struct {
	name                     string
	time, each, wire, others sample
}

func runXDS(ctx context.Context, b *bench) error {
	sizes, rounds := []int{500, 1000, 2000}, 11
	if b.quick {
		sizes, rounds = []int{500, 1000}, 4
	}
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		return err
	}
	var memory, changes [][]string
	for _, proxies := range sizes {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		bare, err := measureFleet(ca, proxies, 0, true)
		if err != nil {
			return fmt.Errorf("bare streams: %w", err)
		}
		ours, err := measureFleet(ca, proxies, rounds, false)
		if err != nil {
			return err
		}
		memory = append(memory, []string{
			count(float64(proxies)), fmt.Sprintf("%.1f s", ours.connect.Seconds()), kB(ours.initial),
			kB(ours.rss), kB(bare.rss), kB(ours.heap), kB(bare.heap),
		})
		for _, c := range ours.changes {
			changes = append(changes, []string{count(float64(proxies)), c.name, count(c.others.median()), c.time.spread(ms), kB(c.each.median()), kB(c.wire.median())})
		}
	}
	b.out.note("each proxy of a class of its own, over mutual TLS, server and proxies in a process each; memory after collection of garbage")
	b.out.table([]string{"proxies", "all connected and in step after", "sent to each", "memory of the server per proxy", "bare stream", "of it Go heap and stacks", "bare stream"}, memory)
	b.out.note("from the object's change to the last affected proxy's acknowledgement, 50 ms of waiting for further changes included; median (least to greatest) of %d", rounds)
	b.out.table([]string{"proxies", "changed", "proxies affected", "time", "sent to each affected", "of it and TLS on the wire"}, changes)
	return nil
}

// measureFleet connects as many proxies as there are Services, and changes
// objects under them.
func measureFleet(ca *identity.CA, proxies, rounds int, bare bool) (*xdsFigures, error) {
	certificate, key, err := ca.MarshalPEM()
	if err != nil {
		return nil, err
	}
	server, err := startRole("role-xds-server")
	if err != nil {
		return nil, err
	}
	defer server.stop()
	fleet, err := startRole("role-xds-fleet")
	if err != nil {
		return nil, err
	}
	defer fleet.stop()
	var at, before, after serverAnswer
	if err := server.ask(serverQuestion{Start: proxies, Bare: bare, CertificatePEM: certificate, KeyPEM: key}, &at); err != nil {
		return nil, err
	}
	if err := server.ask(serverQuestion{Memory: true}, &before); err != nil {
		return nil, err
	}
	f := &xdsFigures{}
	if err := fleet.ask(fleetQuestion{Nodes: standardNodes(proxies), CertificatePEM: certificate, KeyPEM: key}, &fleetAnswer{}); err != nil {
		return nil, err
	}
	var connected fleetAnswer
	begin := time.Now()
	if err := fleet.ask(fleetQuestion{Connect: at.Address, Quiet: 3 * quiet}, &connected); err != nil {
		return nil, err
	}
	f.connect, f.initial = connected.Last.Sub(begin), connected.Bytes/float64(proxies)
	if !bare && connected.Affected != proxies {
		return nil, fmt.Errorf("%d of %d proxies were sent something", connected.Affected, proxies)
	}
	if err := server.ask(serverQuestion{Memory: true}, &after); err != nil {
		return nil, err
	}
	f.heap = (after.HeapBytes - before.HeapBytes) / float64(proxies)
	f.rss = (after.ResidentBytes - before.ResidentBytes) / float64(proxies)
	for kind, change := range scaletest.Changes() {
		if rounds == 0 {
			break
		}
		p, err := propagate(server, fleet, kind, rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", change.Name, err)
		}
		p.name = change.Name
		f.changes = append(f.changes, *p)
	}
	return f, nil
}

// standardNodes are the sidecars of a mesh of the standard size.
func standardNodes(proxies int) []fleetNode {
	var nodes []fleetNode
	for _, pod := range scaletest.New(scaletest.Standard(proxies)).Pods {
		nodes = append(nodes, nodeOf(pod))
	}
	return nodes
}

func nodeOf(pod *corev1.Pod) fleetNode {
	return fleetNode{pod.Namespace + "/" + pod.Name, mesh.Account{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
}

// propagate changes an object and waits until all who are concerned know.
func propagate(server, fleet *child, kind, rounds int) (*propagation, error) {
	p := &propagation{}
	for round := range rounds {
		var changed serverAnswer
		if err := server.ask(serverQuestion{Change: &changeQuestion{kind, round}}, &changed); err != nil {
			return nil, err
		}
		var got fleetAnswer
		if err := fleet.ask(fleetQuestion{Quiet: quiet}, &got); err != nil {
			return nil, err
		}
		if got.Affected == 0 {
			return nil, errors.New("no proxy was sent anything")
		}
		p.time.addTime(got.Last.Sub(changed.Changed))
		p.others.add(float64(got.Affected))
		p.each.add(got.Bytes / float64(got.Affected))
		p.wire.add(got.WireBytes / float64(got.Affected))
	}
	return p, nil
}
