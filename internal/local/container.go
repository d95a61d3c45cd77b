//go:build linux

package local

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// containerState is how one container's process is.
type containerState struct {
	running bool
	// finished tells that it ended well and will not be started again.
	finished bool
	ready    bool
	// err says why the container does not run or is not ready.
	err error
	// starts counts the processes; what a probe of an earlier one says is not
	// true of the next.
	starts int
}

// containerPlan is what running a container takes.
type containerPlan struct {
	command   []string
	env       []string
	readiness *probe
}

// plan finds everything that keeps the pod from running before any of it runs.
func (r *runner) plan() ([]containerPlan, error) {
	plans := make([]containerPlan, len(r.pod.Spec.Containers))
	upstreams := r.rt.upstreamsOf(r.at)
	for i := range r.pod.Spec.Containers {
		c := &r.pod.Spec.Containers[i]
		env, expand, err := environment(r.pod, c, r.at, upstreams)
		if err != nil {
			return nil, err
		}
		command, err := r.rt.options.Commands.commandLine(c, expand)
		if err != nil {
			return nil, err
		}
		ready, err := readiness(c, r.at.app)
		if err != nil {
			return nil, err
		}
		plans[i] = containerPlan{command: command, env: env, readiness: ready}
	}
	if len(r.pod.Spec.InitContainers) > 0 {
		r.say("its init containers are not run: the standalone runtime starts the containers alone")
	}
	return plans, nil
}

// runContainer returns once the container's process is gone for good.
func (r *runner) runContainer(ctx context.Context, i int, plan containerPlan) {
	source := r.name.String()
	if len(r.pod.Spec.Containers) > 1 {
		source += " " + r.pod.Spec.Containers[i].Name
	}
	stopProbe := func() {}
	p := &process{
		command: plan.command, env: plan.env, grace: grace(r.pod), backoff: firstBackoff,
		restart: func(failed bool) bool { return restarts(r.pod.Spec.RestartPolicy, failed) },
		line:    func(text string) { r.rt.line(source, text) },
		event: func(e processEvent) {
			stopProbe()
			r.containerEvent(i, plan, e)
			if !e.running {
				r.tellEnd(source, e)
				return
			}
			if plan.readiness != nil {
				stopProbe = r.probe(ctx, i, plan.readiness)
			}
		},
	}
	p.run(ctx)
	stopProbe()
}

// restarts tells whether a process that ended is started again.
func restarts(policy corev1.RestartPolicy, failed bool) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return failed
	default:
		return true
	}
}

// probe begins to ask the container's process whether it is ready, until what it
// returns is called.
func (r *runner) probe(ctx context.Context, i int, p *probe) context.CancelFunc {
	ctx, stop := context.WithCancel(ctx)
	r.mu.Lock()
	start := r.containers[i].starts
	r.mu.Unlock()
	go p.run(ctx, func(ready bool, why error) {
		r.change(func() {
			if c := &r.containers[i]; c.starts == start && c.running {
				c.ready, c.err = ready, why
			}
		})
	})
	return stop
}

func (r *runner) containerEvent(i int, plan containerPlan, e processEvent) {
	r.change(func() {
		c := &r.containers[i]
		c.running, c.finished, c.err = e.running, e.final && e.err == nil, e.err
		c.ready = e.running && plan.readiness == nil
		switch {
		case e.running:
			c.starts++
		case !e.final:
			r.restarts++
		}
	})
}

// tellEnd prints that a process has ended by itself.
func (r *runner) tellEnd(source string, e processEvent) {
	how := "ended"
	if e.err != nil {
		how = e.err.Error()
	}
	if !e.final {
		how += fmt.Sprintf(", and starts again in %s", e.restartIn)
	}
	r.rt.line(source, how)
}
