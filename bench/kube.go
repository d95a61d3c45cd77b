package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kubeFigures are those of a cluster of one size.
type kubeFigures struct {
	size kubeSize
	// started is from the start of the process until the last proxy had everything,
	// listening until the first could connect.
	started, listening sample
	// processor is what the controller used for that, fleet the proxies.
	processor, fleet sample
	// initial is what each proxy was sent at first.
	initial sample
	// rest is the controller's memory some time after that, changed the same after
	// the changes, most the most that it ever had.
	rest, changed, most sample
	// file is the part of it that is pages of the program's file.
	file    sample
	changes []editFigures
}

// editFigures are those of a kind of change: from the return of the call until the
// last proxy had acknowledged, what each of the affected was sent, and what the
// controller used for all of it.
type editFigures struct {
	name                                  string
	time, each, wire, affected, processor sample
}

func (f *editFigures) add(changed time.Time, got fleetAnswer) {
	f.time.addTime(got.Last.Sub(changed))
	f.affected.add(float64(got.Affected))
	f.each.add(got.Bytes / float64(got.Affected))
	f.wire.add(got.WireBytes / float64(got.Affected))
}

// restTime is how long a controller is left alone before its memory is looked at.
const restTime = 10 * time.Second

// runKube measures a cluster of the size that has a reach for everything.
func runKube(ctx context.Context, b *bench) error {
	plan := kubePlan{size: kubeSize{500, 3}, starts: 3, rounds: 15, profiles: b.profiles}
	if b.quick {
		plan.starts, plan.rounds = 1, 4
	}
	f, err := measureKube(ctx, plan)
	if err != nil {
		return err
	}
	b.out.note("%d Services, %d proxies over mutual TLS; median (least to greatest) of %d starts and %d changes of each kind",
		plan.size.services, plan.size.proxies(), plan.starts, plan.rounds)
	b.out.table(changeHead, f.changeRows())
	b.out.table([]string{"what", "measured"}, [][]string{
		{"memory of the controller, 10 s after the start", f.rest.spread(mb)},
		{"of it pages of the program's file", f.file.spread(mb)},
		{"after the changes", f.changed.spread(mb)},
		{"the most it ever had", f.most.spread(mb)},
		{"full start, until the last proxy has everything", f.started.spread(sec)},
		{"processor time of the controller for it", f.processor.spread(sec)},
	})
	return nil
}

// runKubeGrowth measures clusters of growing size.
func runKubeGrowth(ctx context.Context, b *bench) error {
	var change, memory, start [][]string
	plan := kubePlan{starts: 3, rounds: 11, profiles: b.profiles}
	if b.quick {
		plan.starts, plan.rounds = 1, 4
	}
	for _, size := range b.sizes {
		plan.size = size
		f, err := measureKube(ctx, plan)
		if err != nil {
			return err
		}
		proxies := count(float64(size.proxies()))
		change = append(change, f.changeRows()...)
		memory = append(memory, []string{proxies, f.rest.spread(mb), f.changed.spread(mb), f.most.spread(mb)})
		start = append(start, []string{proxies, f.started.spread(sec), f.listening.spread(sec), f.processor.spread(sec), f.fleet.spread(sec), f.initial.spread(kB)})
	}
	b.out.note("%d pods to a Service and its ServiceAccount, which is a class; all may call the root of the one split; median (least to greatest) of %d starts and %d changes of each kind",
		podsPerService, plan.starts, plan.rounds)
	b.out.table(changeHead, change)
	b.out.note("memory of the controller, as it is: no collection of garbage was asked for")
	b.out.table([]string{"proxies", "10 s after the start", "after the changes", "the most it ever had"}, memory)
	b.out.note("full start with a warm API server, all proxies connecting as soon as they can; proxies, API server and controller share the machine")
	b.out.table([]string{"proxies", "until the last has everything", "of it until the first can connect", "processor time of the controller", "of all proxies", "sent to each"}, start)
	return nil
}

var changeHead = []string{
	"proxies", "changed", "proxies that were sent it", "from the call's return to the last acknowledgement",
	"sent to each", "of it and TLS on the wire", "processor time of the controller",
}

func (f *kubeFigures) changeRows() [][]string {
	var rows [][]string
	for _, c := range f.changes {
		rows = append(rows, []string{
			count(float64(f.size.proxies())), c.name, c.affected.spread(count), c.time.spread(ms),
			kB(c.each.median()), kB(c.wire.median()), c.processor.spread(ms),
		})
	}
	return rows
}

// podsPerService is how many proxies of a growing cluster share a class.
const podsPerService = 5

// growingSizes reads numbers of proxies, as "1000,5000".
func growingSizes(text string) ([]kubeSize, error) {
	var sizes []kubeSize
	for _, part := range strings.Split(text, ",") {
		proxies, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("-proxies %s: %w", text, err)
		}
		if proxies < 100 || proxies > maxProxies || proxies%podsPerService > 0 {
			return nil, errors.New("-proxies: each is a multiple of 5 from 100 to 20000")
		}
		sizes = append(sizes, kubeSize{proxies / podsPerService, podsPerService})
	}
	return sizes, nil
}

// maxProxies is as many as the addresses of the nodes suffice for.
const maxProxies = 20_000
