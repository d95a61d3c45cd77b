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

// kubePatience bounds what one size may take.
const kubePatience = 12 * time.Minute

// kubeRun is what is measured on one cluster.
type kubeRun struct {
	plan             kubePlan
	began            time.Time
	cluster          *cluster
	world            *kubeWorld
	program          string
	certificate, key []byte
	figures          *kubeFigures
}

// kubePlan says how often what is measured, and where profiles go, if anywhere.
type kubePlan struct {
	size           kubeSize
	starts, rounds int
	profiles       string
}

// measureKube makes a cluster, starts the controller in front of it several times,
// and changes things under the last one.
func measureKube(ctx context.Context, plan kubePlan) (*kubeFigures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, kubePatience, fmt.Errorf("%d proxies took longer than %s", plan.size.proxies(), kubePatience))
	defer cancel()
	k := &kubeRun{plan: plan, began: time.Now(), figures: &kubeFigures{size: plan.size}}
	err := k.measure(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return k.figures, err
}

func (k *kubeRun) measure(ctx context.Context) error {
	var err error
	if k.world, err = newKubeWorld(k.plan.size); err != nil {
		return err
	}
	k.say("starting an API server")
	if k.cluster, err = startCluster(); err != nil {
		return err
	}
	defer k.cluster.stop()
	k.say("building smi")
	if k.program, err = buildProgram(ctx, k.cluster.dir); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, k.program, "crds", "apply", "--kubeconfig", k.cluster.kubeconfig).CombinedOutput(); err != nil {
		return fmt.Errorf("smi crds apply: %w\n%s", err, out)
	}
	if err := k.cluster.create(ctx, k.world, k.say); err != nil {
		return err
	}
	if err := k.settle(ctx); err != nil {
		return k.explain(err)
	}
	for n := range k.plan.starts {
		if err := k.round(ctx, n); err != nil {
			return k.explain(fmt.Errorf("start %d: %w", n+1, err))
		}
	}
	return nil
}

// say tells whoever waits how far this is.
func (k *kubeRun) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%d proxies, %s: %s\n", k.plan.size.proxies(), time.Since(k.began).Round(time.Second), fmt.Sprintf(format, args...))
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
// and the status of everything, which tells what proxies have.
func (k *kubeRun) settle(ctx context.Context) error {
	controller, err := k.cluster.startController(k.program)
	if err != nil {
		return err
	}
	defer controller.stop()
	k.say("waiting for the certificate authority")
	err = eventually(ctx, time.Minute, func() (err error) {
		k.certificate, k.key, err = k.cluster.authority(ctx)
		return err
	})
	if err != nil {
		return err
	}
	fleet, err := k.startFleet(ctx)
	if err != nil {
		return err
	}
	defer fleet.stop()
	k.say("connecting all proxies, so that every status can be written")
	if err := fleet.ask(fleetQuestion{Connect: controller.control, AsEnvoy: true}, &fleetAnswer{}); err != nil {
		return err
	}
	if err := controller.inStep(ctx, len(k.world.pods)); err != nil {
		return err
	}
	return controller.written(ctx, k.say)
}

// startFleet starts the process of all proxies, which have their certificates and
// wait to be told where to connect. It ends with the context.
func (k *kubeRun) startFleet(ctx context.Context) (*child, error) {
	fleet, err := startRole("role-xds-fleet")
	if err != nil {
		return nil, err
	}
	// Whoever waits for its answer learns that it has ended.
	context.AfterFunc(ctx, func() { _ = fleet.cmd.Process.Kill() })
	if err := fleet.ask(fleetQuestion{Nodes: k.world.nodes(), CertificatePEM: k.certificate, KeyPEM: k.key}, &fleetAnswer{}); err != nil {
		fleet.stop()
		return nil, err
	}
	return fleet, nil
}

// round starts the controller and connects all proxies. Under the last one things
// are changed.
func (k *kubeRun) round(ctx context.Context, n int) error {
	fleet, err := k.startFleet(ctx)
	if err != nil {
		return err
	}
	defer fleet.stop()
	controller, err := k.cluster.startController(k.program)
	if err != nil {
		return err
	}
	defer controller.stop()
	last := n == k.plan.starts-1
	profiled := make(chan error, 1)
	if last && k.plan.profiles != "" {
		go func() { profiled <- controller.profileStart(ctx, k.plan.profiles) }()
	} else {
		profiled <- nil
	}
	if err := k.start(ctx, fleet, controller); err != nil {
		return err
	}
	k.say("start %d of %d took %.1f s; a rest of %s", n+1, k.plan.starts, k.figures.started[n], restTime)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(restTime):
	}
	k.figures.rest.add(residentBytes(controller.pid()))
	k.figures.file.add(fileBytes(controller.pid()))
	if err := <-profiled; err != nil {
		return err
	}
	if last {
		if err := k.change(ctx, fleet, controller); err != nil {
			return err
		}
	}
	k.figures.most.add(mostResidentBytes(controller.pid()))
	if last && k.plan.profiles != "" {
		if err := controller.profileRest(ctx, k.plan.profiles); err != nil {
			return err
		}
	}
	return controller.inStep(ctx, len(k.world.pods))
}

// start connects all proxies to a controller that is about to listen.
func (k *kubeRun) start(ctx context.Context, fleet *child, controller *controllerProcess) error {
	proxies := len(k.world.pods)
	idle := processorTimeOf(fleet.pid())
	if err := fleet.ask(fleetQuestion{Connect: controller.control, AsEnvoy: true}, &fleetAnswer{}); err != nil {
		return err
	}
	if err := controller.inStep(ctx, proxies); err != nil {
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
	f.initial.add(got.Bytes / float64(proxies))
	return nil
}

// change measures every kind of change, and the memory that is in use after it.
func (k *kubeRun) change(ctx context.Context, fleet *child, controller *controllerProcess) error {
	all := len(k.world.pods)
	called := k.world.called
	edits := []struct {
		name   string
		expect int
		edit   func(round int) (time.Time, error)
	}{
		{"weight of the split that all may call", all, func(n int) (time.Time, error) { return k.cluster.reweigh(ctx, k.world.split, 91+n) }},
		{"readiness of one pod behind it", all, func(n int) (time.Time, error) { return k.cluster.setReady(ctx, k.world.behindSplit, n%2 == 1) }},
		{"readiness of one pod that some may call", called.callers, func(n int) (time.Time, error) { return k.cluster.setReady(ctx, called.pod, n%2 == 1) }},
	}
	for _, e := range edits {
		figures := editFigures{name: e.name}
		for n := range k.plan.rounds {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			used := processorTimeOf(controller.pid())
			changed, err := e.edit(n)
			if err != nil {
				return err
			}
			var got fleetAnswer
			if err := fleet.ask(fleetQuestion{Quiet: quiet, Expect: e.expect}, &got); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			if got.Affected == 0 {
				return errors.New(e.name + ": no proxy was sent anything")
			}
			figures.processor.addTime(processorTimeOf(controller.pid()) - used)
			figures.add(changed, got)
		}
		k.say("%s: %s", e.name, figures.time.spread(ms))
		k.figures.changes = append(k.figures.changes, figures)
	}
	k.figures.changed.add(residentBytes(controller.pid()))
	return nil
}
