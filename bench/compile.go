package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/store"
)

// runCompile measures on one core: the runtime's threads, the collector of
// garbage among them, take turns.
func runCompile(ctx context.Context, b *bench) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		return err
	}
	sizes, rounds, changes := []int{500, 1000, 2000, 4000}, 9, 60
	if b.quick {
		sizes, rounds, changes = []int{500, 1000, 2000}, 3, 20
	}
	var full, single [][]string
	for _, services := range sizes {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		size := scaletest.Standard(services)
		f := measureFull(ca, size, rounds)
		full = append(full, []string{
			fmt.Sprintf("%d / %d / %d", size.Services, size.Targets, size.Splits),
			f.wall.spread(ms), ms(f.cpu.median()), ms(f.compile.median()), count(f.resources), fmt.Sprintf("%.1f MB", f.bytes/1e6),
		})
		for _, change := range scaletest.Changes() {
			c := measureChange(ca, size, change, changes)
			single = append(single, []string{
				count(float64(services)), change.Name, c.wall.spread(ms), ms(c.cpu.median()), count(c.views.median()),
			})
		}
	}
	b.out.note("one core; Services (each with account, pod, port) / TrafficTargets of 5 sources / TrafficSplits; median (least to greatest) of %d", rounds)
	b.out.table([]string{"size", "compile, render, marshal, hash", "processor time", "of it compile", "resources", "bytes"}, full)
	b.out.note("one object changed: compiled, rendered and compared with what proxies have; %d changes each", changes)
	b.out.table([]string{"Services", "changed", "time", "processor time", "proxies affected"}, single)
	return nil
}

// fullFigures are those of a compilation from nothing.
type fullFigures struct {
	wall, cpu, compile sample
	// resources and bytes are those of all proxies, what they share counted once.
	resources, bytes float64
}

func measureFull(ca *identity.CA, size scaletest.Size, rounds int) fullFigures {
	var f fullFigures
	w := scaletest.New(size)
	for range rounds {
		s := store.New()
		s.Replace(w.Objects)
		plane := controlplane.New(controlplane.Config{Store: s, CA: ca, Place: w.Placement})
		runtime.GC()
		start := stopwatch()
		plane.Push()
		wall, cpu := start()
		f.wall.addTime(wall)
		f.cpu.addTime(cpu)
		f.resources, f.bytes = sizes(w, s)

		compiler := compile.New(compile.Config{})
		runtime.GC()
		start = stopwatch()
		compiler.Compile(s.Snapshot())
		_, cpu = start()
		f.compile.addTime(cpu)
	}
	return f
}

// sizes counts what a world's proxies are sent.
func sizes(w *scaletest.World, s *store.Store) (resources, bytes float64) {
	m := compile.New(compile.Config{}).Compile(s.Snapshot())
	var proxies []envoy.Proxy
	for _, workload := range m.Workloads {
		for _, pod := range workload.Pods {
			place, _ := w.Placement(pod)
			proxies = append(proxies, envoy.Proxy{Node: pod.String(), Workload: workload, Placement: place})
		}
	}
	seen := map[*envoy.Resource]bool{}
	for _, list := range envoy.New(envoy.Options{}).Render(m, proxies, envoy.Epochs{}) {
		for _, r := range list {
			if !seen[r] {
				seen[r] = true
				bytes += float64(r.Size())
			}
		}
	}
	return float64(len(seen)), bytes
}

// changeFigures are those of one changed object.
type changeFigures struct{ wall, cpu, views sample }

func measureChange(ca *identity.CA, size scaletest.Size, change scaletest.Change, rounds int) changeFigures {
	var f changeFigures
	w := scaletest.New(size)
	s := store.New()
	s.Replace(w.Objects)
	plane := controlplane.New(controlplane.Config{Store: s, CA: ca, Place: w.Placement})
	plane.Push()
	counter := &viewCounter{}
	counter.changed(plane)
	runtime.GC()
	for round := range rounds {
		object := change.Edit(w, round)
		start := stopwatch()
		s.Put(object)
		plane.Push()
		wall, cpu := start()
		f.wall.addTime(wall)
		f.cpu.addTime(cpu)
		f.views.add(float64(counter.changed(plane)))
	}
	return f
}

// viewCounter counts what proxies are to be sent.
type viewCounter struct{ versions map[string]string }

// changed is how many proxies have another view than at the last call.
func (v *viewCounter) changed(plane *controlplane.ControlPlane) int {
	now, n := map[string]string{}, 0
	for _, p := range plane.Proxies() {
		now[p.Node] = p.Version
		if v.versions[p.Node] != p.Version {
			n++
		}
	}
	v.versions = now
	return n
}

// stopwatch starts to measure; what it returns tells the time and the
// processor time since.
func stopwatch() func() (wall, cpu time.Duration) {
	cpu, start := processorTime(), time.Now()
	return func() (time.Duration, time.Duration) { return time.Since(start), processorTime() - cpu }
}
