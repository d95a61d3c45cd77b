//go:build linux

package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

// runner runs one pod: its sidecar first, then its containers.
type runner struct {
	rt   *Runtime
	name types.NamespacedName
	pod  *corev1.Pod
	at   pair
	// stop asks the pod to end; done is closed once nothing of it is left.
	stop context.CancelFunc
	done chan struct{}
	// exited tells the sidecar's watcher that Envoy ended.
	exited chan struct{}

	mu         sync.Mutex
	containers []containerState
	// account is who the sidecar proves to be, which is the pod's own but in a test;
	// agent is the sidecar's, nil where there is none.
	account mesh.Account
	agent   *agent.Agent
	// sidecar tells that the sidecar takes traffic, or that the pod has none.
	sidecar bool
	// proxied tells that the pod has a sidecar, or will have one.
	proxied bool
	// waiting says what the pod waits for before anything of it runs.
	waiting error
	// failure says why the pod cannot run.
	failure  error
	since    time.Time
	restarts int
}

// startPod begins to run a pod; what follows is told by podChanged.
func (rt *Runtime) startPod(ctx context.Context, name types.NamespacedName, pod *corev1.Pod, at pair) *runner {
	ctx, stop := context.WithCancel(ctx)
	r := &runner{
		rt: rt, name: name, pod: pod, at: at, stop: stop, done: make(chan struct{}), exited: make(chan struct{}, 1),
		containers: make([]containerState, len(pod.Spec.Containers)), sidecar: !meshed(pod), proxied: meshed(pod), since: time.Now(),
		account: mesh.Account{Namespace: name.Namespace, Name: pod.Spec.ServiceAccountName},
	}
	go func() {
		defer close(r.done)
		r.run(ctx)
		r.change(func() { r.proxied = false })
	}()
	return r
}

// run returns once nothing of the pod is left: when it was stopped, or when all
// of its containers have ended for good.
func (r *runner) run(ctx context.Context) {
	plans, err := r.plan()
	if err != nil {
		r.fail(err)
		<-ctx.Done()
		return
	}
	if !r.awaitPorts(ctx) {
		return
	}
	if meshed(r.pod) {
		// The sidecar outlives the application, which may still talk while it ends.
		sidecar, stop := context.WithCancel(context.WithoutCancel(ctx))
		var all sync.WaitGroup
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

// portPeriod is how often a port that is taken is tried again.
const portPeriod = 500 * time.Millisecond

// awaitPorts waits until the pod's ports are free, and returns false where the
// pod was stopped before that.
func (r *runner) awaitPorts(ctx context.Context) bool {
	for said := ""; ; {
		err := takenPort(r.pod, r.rt.services(), r.at)
		r.change(func() { r.waiting = err })
		if err == nil {
			return true
		}
		if err.Error() != said {
			said = err.Error()
			r.say(said)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(portPeriod):
		}
	}
}

// startSidecar returns once the sidecar is ready to take traffic for the first
// time, and false where the pod was stopped before that.
func (r *runner) startSidecar(sidecar, pod context.Context, all *sync.WaitGroup) bool {
	a, err := agent.New(r.agentConfig())
	if err != nil {
		r.fail(err)
		<-pod.Done()
		return false
	}
	r.mu.Lock()
	r.agent = a
	r.mu.Unlock()
	all.Go(func() {
		if err := a.Run(sidecar); err != nil {
			r.fail(err)
		}
	})
	ready := make(chan struct{})
	all.Go(func() { r.watchSidecar(sidecar, a.Admin(), ready) })
	select {
	case <-ready:
		return true
	case <-pod.Done():
		return false
	}
}

// watchSidecar keeps in mind whether the sidecar takes traffic: from when its
// Envoy says so until that ends, and so again. It closes ready the first time.
func (r *runner) watchSidecar(ctx context.Context, admin *agent.Admin, ready chan struct{}) {
	for first := true; ; {
		for admin.Ready(ctx) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(fastPeriod):
			}
		}
		r.change(func() { r.sidecar = true })
		if first {
			close(ready)
			first = false
		}
		select {
		case <-ctx.Done():
			return
		case <-r.exited:
			r.change(func() { r.sidecar = false })
		}
	}
}

// sidecarDrain is how long the sidecar of a pod that ends waits for what is in
// flight, once the application has ended.
const sidecarDrain = time.Second

func (r *runner) agentConfig() agent.Config {
	name := mesh.Name{Namespace: r.name.Namespace, Name: r.name.Name}
	return agent.Config{
		TrustDomain: r.rt.ca.TrustDomain(), Pod: name, ServiceAccount: r.pod.Spec.ServiceAccountName, Workload: owner(r.pod),
		Source: identity.SourceFunc(r.certificates), XDSAddress: r.rt.addresses.listener.Addr().String(),
		Dir:    r.dir(),
		Envoy:  agent.Envoy{Binary: r.rt.options.Envoy, DrainTime: sidecarDrain, LogLevel: "error", OnExit: r.envoyExit},
		Sink:   r.rt.sink,
		Logger: r.rt.log.With(PodKey, r.name.String()),
	}
}

// dir is named by an address and not by the pod, as a pod's name may be longer
// than the path of a socket.
func (r *runner) dir() string { return filepath.Join(r.rt.dir, r.at.sidecar.String()) }

func (r *runner) envoyExit(exit agent.Exit) {
	r.say(fmt.Sprintf("the sidecar's Envoy ended (%v) and starts again in %s", exit.Err, exit.RestartIn))
	r.change(func() { r.sidecar = false })
	select {
	case r.exited <- struct{}{}:
	default:
	}
}

func owner(pod *corev1.Pod) string {
	if len(pod.OwnerReferences) > 0 {
		return pod.OwnerReferences[0].Name
	}
	return pod.Name
}

// grace is how long the pod's processes may take to end.
func grace(pod *corev1.Pod) time.Duration {
	const standard, most = 5 * time.Second, 30 * time.Second
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil && *s >= 0 {
		return min(time.Duration(*s)*time.Second, most)
	}
	return standard
}

// say prints a line about the pod.
func (r *runner) say(text string) { r.rt.line(r.name.String(), text) }

// fail says why the pod cannot run.
func (r *runner) fail(err error) {
	r.change(func() { r.failure, r.proxied = err, false })
	r.say("cannot run: " + err.Error())
}

// change changes the runner's state and tells the runtime of what it has to act
// upon.
func (r *runner) change(what func()) {
	r.mu.Lock()
	ready, proxied := r.readyLocked(), r.proxied
	what()
	changed := ready != r.readyLocked() || proxied != r.proxied
	if ready != r.readyLocked() {
		r.since = time.Now()
	}
	r.mu.Unlock()
	if changed {
		r.rt.podChanged(r.name)
	}
	r.rt.notify()
}

// remove deletes what the pod left on disk.
func (r *runner) remove() { _ = os.RemoveAll(r.dir()) }
