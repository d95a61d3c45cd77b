package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	// time, each, wire and affected are of one changed weight.
	time, each, wire, affected sample
}

// restTime is how long a controller is left alone before its memory is looked at.
const restTime = 10 * time.Second

// runKube measures a cluster of the size that has a reach for everything.
func runKube(ctx context.Context, b *bench) error {
	size, starts, rounds := kubeSize{500, 3}, 3, 15
	if b.quick {
		size, starts, rounds = kubeSize{100, 3}, 2, 5
	}
	f, err := measureKube(ctx, size, starts, rounds)
	if err != nil {
		return err
	}
	b.out.note("%d Services, %d proxies over mutual TLS, each of which may call the root of the one split; median (least to greatest) of %d starts and %d changes",
		size.services, size.proxies(), starts, rounds)
	b.out.table([]string{"what", "reach", "measured"}, [][]string{
		{"from the call's return to the last proxy's acknowledgement of a changed weight", "300 ms", f.time.spread(ms)},
		{"proxies that were sent the change", "", f.affected.spread(count)},
		{"sent to each of them", "4 kB", f.each.spread(kB)},
		{"of it and TLS on the wire", "", f.wire.spread(kB)},
		{"memory of the controller, 10 s after the start", "250 MB", f.rest.spread(mb)},
		{"after the changes", "250 MB", f.changed.spread(mb)},
		{"the most it ever had", "", f.most.spread(mb)},
		{"full start, until the last proxy has everything", "", f.started.spread(sec)},
	})
	return nil
}

// runKubeGrowth measures clusters of growing size.
func runKubeGrowth(ctx context.Context, b *bench) error {
	sizes, starts, rounds := []kubeSize{{200, 5}, {1000, 5}, {2000, 5}}, 3, 11
	if b.quick {
		sizes, starts, rounds = []kubeSize{{50, 5}, {200, 5}}, 1, 3
	}
	var change, memory, start [][]string
	for _, size := range sizes {
		f, err := measureKube(ctx, size, starts, rounds)
		if err != nil {
			return err
		}
		proxies := count(float64(size.proxies()))
		change = append(change, []string{proxies, count(float64(size.services)), f.affected.spread(count), f.time.spread(ms), f.each.spread(kB), f.wire.spread(kB)})
		memory = append(memory, []string{proxies, f.rest.spread(mb), f.changed.spread(mb), f.most.spread(mb)})
		start = append(start, []string{proxies, f.started.spread(sec), f.listening.spread(sec), f.processor.spread(sec), f.fleet.spread(sec), f.initial.spread(kB)})
	}
	b.out.note("five pods to a Service and its ServiceAccount, which is a class; all may call the root of the one split; median (least to greatest) of %d starts and %d changes", starts, rounds)
	b.out.table([]string{"proxies", "Services", "sent a changed weight", "from the call's return to the last of them", "sent to each", "of it and TLS on the wire"}, change)
	b.out.note("memory of the controller, as it is: no collection of garbage was asked for")
	b.out.table([]string{"proxies", "10 s after the start", "after the changes", "the most it ever had"}, memory)
	b.out.note("full start with a warm API server, all proxies connecting as soon as they can; proxies, API server and controller share the machine")
	b.out.table([]string{"proxies", "until the last has everything", "of it until the first can connect", "processor time of the controller", "of all proxies", "sent to each"}, start)
	return nil
}

// measureKube makes a cluster, starts the controller in front of it several times,
// and changes a weight under the last one.
func measureKube(ctx context.Context, size kubeSize, starts, rounds int) (*kubeFigures, error) {
	world, err := newKubeWorld(size)
	if err != nil {
		return nil, err
	}
	c, err := startCluster()
	if err != nil {
		return nil, err
	}
	defer c.stop()
	program, err := buildProgram(ctx, c.dir)
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, program, "crds", "apply", "--kubeconfig", c.kubeconfig).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("smi crds apply: %w\n%s", err, out)
	}
	if err := c.create(ctx, world); err != nil {
		return nil, err
	}
	k := &kubeRun{cluster: c, world: world, program: program, figures: &kubeFigures{size: size}}
	if err := k.settle(ctx); err != nil {
		return nil, k.explain(err)
	}
	for n := range starts {
		changes := 0
		if n == starts-1 {
			changes = rounds
		}
		if err := k.round(ctx, changes); err != nil {
			return nil, k.explain(err)
		}
	}
	return k.figures, nil
}

// kubeRun is what is measured on one cluster.
type kubeRun struct {
	cluster          *cluster
	world            *kubeWorld
	program          string
	certificate, key []byte
	figures          *kubeFigures
}

// explain adds to an error what the controller said last.
func (k *kubeRun) explain(err error) error {
	content, readErr := os.ReadFile(filepath.Join(k.cluster.dir, "controller.log"))
	if readErr != nil {
		return err
	}
	return fmt.Errorf("%w\nthe controller's log ends so:\n%s", err, content[max(0, len(content)-2000):])
}

// settle lets a controller write what it writes once: the certificate authority,
// and the status of everything.
func (k *kubeRun) settle(ctx context.Context) error {
	controller, err := k.cluster.startController(k.program)
	if err != nil {
		return err
	}
	defer controller.stop()
	if err := controller.written(ctx); err != nil {
		return err
	}
	k.certificate, k.key, err = k.cluster.authority(ctx)
	return err
}

// round starts the controller and connects all proxies, and then changes a weight
// so often.
func (k *kubeRun) round(ctx context.Context, changes int) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	fleet, err := startRole("role-xds-fleet")
	if err != nil {
		return err
	}
	defer fleet.stop()
	nodes := k.world.nodes()
	if err := fleet.ask(fleetQuestion{Nodes: nodes, CertificatePEM: k.certificate, KeyPEM: k.key}, &fleetAnswer{}); err != nil {
		return err
	}
	controller, err := k.cluster.startController(k.program)
	if err != nil {
		return err
	}
	defer controller.stop()
	idle := processorTimeOf(fleet.pid())
	if err := fleet.ask(fleetQuestion{Connect: controller.control, AsEnvoy: true}, &fleetAnswer{}); err != nil {
		return err
	}
	if err := controller.inStep(ctx, len(nodes)); err != nil {
		return err
	}
	var got fleetAnswer
	if err := fleet.ask(fleetQuestion{Quiet: quiet}, &got); err != nil {
		return err
	}
	f := k.figures
	f.started.addTime(got.Last.Sub(controller.started))
	f.listening.addTime(got.Opened.Sub(controller.started))
	f.processor.addTime(processorTimeOf(controller.pid()))
	f.fleet.addTime(processorTimeOf(fleet.pid()) - idle)
	f.initial.add(got.Bytes / float64(len(nodes)))
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(restTime):
	}
	f.rest.add(residentBytes(controller.pid()))
	if err := k.change(ctx, fleet, changes); err != nil {
		return err
	}
	if changes > 0 {
		f.changed.add(residentBytes(controller.pid()))
	}
	f.most.add(mostResidentBytes(controller.pid()))
	return controller.inStep(ctx, len(nodes))
}

// change gives the split other weights so often.
func (k *kubeRun) change(ctx context.Context, fleet *child, rounds int) error {
	f := k.figures
	for n := range rounds {
		changed, err := k.cluster.reweigh(ctx, k.world.split, 91+n)
		if err != nil {
			return err
		}
		var got fleetAnswer
		if err := fleet.ask(fleetQuestion{Quiet: quiet, Expect: len(k.world.pods)}, &got); err != nil {
			return err
		}
		f.time.addTime(got.Last.Sub(changed))
		f.affected.add(float64(got.Affected))
		f.each.add(got.Bytes / float64(got.Affected))
		f.wire.add(got.WireBytes / float64(got.Affected))
	}
	return nil
}
