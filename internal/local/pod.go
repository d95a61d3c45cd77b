//go:build linux

package local

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/mesh"
)

// runner runs one pod: its sidecar first, then its containers.
type runner struct {
	rt   *Runtime
	name types.NamespacedName
	pod  *corev1.Pod
	at   pair
	stop context.CancelFunc
	done chan struct{}

	mu         sync.Mutex
	containers []containerState
	sidecar    bool
	failure    error
	since      time.Time
	restarts   int
}

// containerState is how one container's process is.
type containerState struct {
	running  bool
	finished bool
	ready    bool
	err      error
}

// start begins to run a pod; what follows is told by the runtime's podChanged.
func (rt *Runtime) startPod(ctx context.Context, name types.NamespacedName, pod *corev1.Pod, at pair) *runner {
	ctx, stop := context.WithCancel(ctx)
	r := &runner{
		rt: rt, name: name, pod: pod, at: at, stop: stop, done: make(chan struct{}),
		containers: make([]containerState, len(pod.Spec.Containers)), sidecar: !meshed(pod), since: time.Now(),
	}
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return r
}

// run returns once nothing of the pod is left.
func (r *runner) run(ctx context.Context) {
	plans, err := r.plan()
	if err != nil {
		r.fail(err)
		<-ctx.Done()
		return
	}
	var all sync.WaitGroup
	if meshed(r.pod) {
		// The sidecar outlives the application, which may still talk while it ends.
		sidecar, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer func() {
			stop()
			all.Wait()
		}()
		if !r.startSidecar(sidecar, ctx, &all) {
			return
		}
	}
	var apps sync.WaitGroup
	for i := range plans {
		apps.Go(func() { r.runContainer(ctx, i, plans[i]) })
	}
	apps.Wait()
}

// startSidecar returns once the sidecar is ready to take traffic, and false
// where the pod was stopped before that.
func (r *runner) startSidecar(sidecar, pod context.Context, all *sync.WaitGroup) bool {
	a, err := agent.New(r.agentConfig())
	if err != nil {
		r.fail(err)
		<-pod.Done()
		return false
	}
	all.Go(func() {
		if err := a.Run(sidecar); err != nil {
			r.fail(err)
		}
	})
	for {
		if err := a.Admin().Ready(pod); err == nil {
			break
		}
		select {
		case <-pod.Done():
			return false
		case <-time.After(fastPeriod):
		}
	}
	r.change(func() { r.sidecar = true })
	return true
}

func (r *runner) agentConfig() agent.Config {
	name := mesh.Name{Namespace: r.name.Namespace, Name: r.name.Name}
	account := mesh.Account{Namespace: r.name.Namespace, Name: r.pod.Spec.ServiceAccountName}
	return agent.Config{
		TrustDomain: r.rt.ca.TrustDomain(), Pod: name, ServiceAccount: account.Name, Workload: owner(r.pod),
		Source: r.rt.ca.Source(account), XDSAddress: r.rt.addresses.listener.Addr().String(),
		Dir:    filepath.Join(r.rt.dir, r.name.Namespace+"_"+r.name.Name),
		Envoy:  agent.Envoy{Binary: r.rt.options.Envoy, DrainTime: 0, LogLevel: "error", OnExit: r.envoyExit},
		Sink:   r.rt.sink,
		Logger: r.rt.log.With("pod", r.name.String()),
	}
}

func (r *runner) envoyExit(exit agent.Exit) {
	r.rt.line(r.name.String(), fmt.Sprintf("the sidecar's Envoy ended (%v) and starts again in %s", exit.Err, exit.RestartIn))
}

func owner(pod *corev1.Pod) string {
	if len(pod.OwnerReferences) > 0 {
		return pod.OwnerReferences[0].Name
	}
	return pod.Name
}

// containerPlan is what running a container takes.
type containerPlan struct {
	command   []string
	env       []string
	directory string
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
	return plans, nil
}

func (r *runner) runContainer(ctx context.Context, i int, plan containerPlan) {
	prefix := r.name.String()
	if len(r.pod.Spec.Containers) > 1 {
		prefix += " " + r.pod.Spec.Containers[i].Name
	}
	probing, stopProbe := context.WithCancel(ctx)
	defer stopProbe()
	if plan.readiness != nil {
		go plan.readiness.run(probing, func(ready bool, why error) {
			r.change(func() { r.containers[i].ready, r.containers[i].err = ready, why })
		})
	}
	p := &process{
		name: prefix, command: plan.command, env: plan.env, grace: grace(r.pod),
		restart: func(failed bool) bool {
			return r.pod.Spec.RestartPolicy != corev1.RestartPolicyNever && (failed || r.pod.Spec.RestartPolicy != corev1.RestartPolicyOnFailure)
		},
		line:  func(text string) { r.rt.line(prefix, text) },
		event: func(e processEvent) { r.containerEvent(i, plan, e) },
	}
	p.run(ctx)
}

func (r *runner) containerEvent(i int, plan containerPlan, e processEvent) {
	r.change(func() {
		c := &r.containers[i]
		c.running, c.finished, c.err = e.running, e.final && e.err == nil, e.err
		if plan.readiness == nil {
			c.ready = e.running
		}
		if !e.running {
			c.ready = false
			r.restarts++
		}
	})
	switch {
	case e.err != nil && e.final:
		r.rt.line(r.name.String(), e.err.Error())
	case e.err != nil:
		r.rt.line(r.name.String(), e.err.Error()+", and starts again")
	case !e.running && !e.final:
		r.rt.line(r.name.String(), "ended, and starts again")
	}
}

// grace is how long the pod's processes may take to end.
func grace(pod *corev1.Pod) time.Duration {
	const standard = 5 * time.Second
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil && *s >= 0 {
		return min(time.Duration(*s)*time.Second, 6*standard)
	}
	return standard
}

// fail says why the pod cannot run.
func (r *runner) fail(err error) {
	r.change(func() { r.failure = err })
	r.rt.line(r.name.String(), err.Error())
	r.rt.log.Log(context.Background(), slog.LevelDebug, "pod cannot run", "pod", r.name, "error", err)
}

// change changes the runner's state and tells the runtime when readiness did.
func (r *runner) change(what func()) {
	r.mu.Lock()
	before := r.readyLocked()
	what()
	after := r.readyLocked()
	if before != after {
		r.since = time.Now()
	}
	r.mu.Unlock()
	if before != after {
		r.rt.podChanged(r.name, after)
	}
}

func (r *runner) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readyLocked()
}

func (r *runner) readyLocked() bool {
	if r.failure != nil || !r.sidecar {
		return false
	}
	for _, c := range r.containers {
		if !c.ready {
			return false
		}
	}
	return len(r.containers) > 0
}

// status is the runner's part of a pod's status.
func (r *runner) status() PodStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := PodStatus{
		Namespace: r.name.Namespace, Name: r.name.Name, Workload: owner(r.pod), ServiceAccount: r.pod.Spec.ServiceAccountName,
		Ready: r.readyLocked(), Restarts: r.restarts, Since: r.since, Address: r.at.app.String(), State: Running,
	}
	if meshed(r.pod) {
		s.SidecarAddress = r.at.sidecar.String()
		s.RequestProxy = fmt.Sprintf("%s:%d", r.at.sidecar, portRequest)
	}
	finished := 0
	for i, c := range r.containers {
		switch {
		case c.finished:
			finished++
		case !c.running && c.err != nil:
			s.State, s.Reason = Failing, fmt.Sprintf("container %s: %v", r.pod.Spec.Containers[i].Name, c.err)
		case c.running && !c.ready:
			s.Reason = strings.TrimSuffix(fmt.Sprintf("container %s is not ready: %v", r.pod.Spec.Containers[i].Name, c.err), ": <nil>")
		}
	}
	switch {
	case r.failure != nil:
		s.State, s.Reason = Failing, r.failure.Error()
	case !r.sidecar:
		s.State, s.Reason = Starting, "waits for its sidecar"
	case finished > 0 && finished == len(r.containers):
		s.State = Done
	}
	return s
}

// remove deletes what the pod left on disk.
func (r *runner) remove() {
	_ = os.RemoveAll(filepath.Join(r.rt.dir, r.name.Namespace+"_"+r.name.Name))
}
