//go:build linux

package local

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// annotationAppAddress tells where the application of a pod listens. The pod's
// own address is its sidecar's.
const annotationAppAddress = "smi-spec.io/app-address"

// reconcile brings the pods and the store in line with the files.
func (rt *Runtime) reconcile(ctx, serving context.Context, result *file.Result) {
	rt.mu.Lock()
	rt.result = result
	rt.assignUpstreams(result.Objects)
	wanted := map[types.NamespacedName]*corev1.Pod{}
	for _, o := range result.Objects {
		if pod, ok := o.(*corev1.Pod); ok {
			wanted[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = pod
		}
	}
	var leaving []*podEntry
	for name, e := range rt.pods {
		pod := wanted[name]
		// What stops already starts anew, if it is still wanted, when it has stopped.
		if !e.stopping && (pod == nil || e.runner != nil && !sameProcess(e.runner.pod, pod)) {
			leaving = append(leaving, e)
		}
		e.wanted = pod
	}
	var failures []string
	for _, name := range slices.SortedFunc(maps.Keys(wanted), compareNames) {
		if rt.pods[name] != nil {
			continue
		}
		at, err := rt.addresses.of(name)
		if err != nil {
			failures = append(failures, err.Error())
			continue
		}
		rt.pods[name] = &podEntry{wanted: wanted[name], at: at}
	}
	for _, e := range leaving {
		e.stopping = true
	}
	rt.fillStore()
	rt.mu.Unlock()
	rt.sayNew(failures)
	rt.plane.Changed()
	rt.stopLeaving(serving, leaving)
	rt.startWanted(ctx)
	rt.notify()
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// sameProcess tells whether a pod can go on as it is.
func sameProcess(a, b *corev1.Pod) bool {
	return a == b || meshed(a) == meshed(b) && apiequality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// A pod that leaves waits at most settleBeforeStop for the others to learn that it
// does, and then for lastRequests: a proxy acknowledges before all of its threads
// know, and what they have sent by then is still on its way.
const (
	settleBeforeStop = 3 * time.Second
	lastRequests     = 200 * time.Millisecond
)

// stopLeaving stops the runners of entries after every proxy has learned that
// they are not ready any more, so that no request is sent to a dying pod.
func (rt *Runtime) stopLeaving(serving context.Context, leaving []*podEntry) {
	var runners []*runner
	rt.mu.Lock()
	for _, e := range leaving {
		if e.runner != nil {
			runners = append(runners, e.runner)
		} else if e.wanted == nil {
			rt.forget(e)
		}
	}
	rt.mu.Unlock()
	if len(runners) == 0 {
		return
	}
	go func() {
		bounded, cancel := context.WithTimeout(serving, settleBeforeStop)
		defer cancel()
		_ = rt.plane.Settle(bounded)
		select {
		case <-serving.Done():
		case <-time.After(lastRequests):
		}
		for _, r := range runners {
			go func() {
				r.stop()
				<-r.done
				r.remove()
				select {
				case rt.stopped <- r:
				case <-serving.Done():
				}
			}()
		}
	}()
}

// podStopped starts the pod anew where the files still have it.
func (rt *Runtime) podStopped(ctx context.Context, r *runner) {
	rt.mu.Lock()
	if e := rt.pods[r.name]; e != nil && e.runner == r {
		e.runner, e.stopping = nil, false
		if e.wanted == nil {
			rt.forget(e)
		}
	}
	rt.mu.Unlock()
	rt.startWanted(ctx)
	rt.notify()
}

// forget drops an entry and gives its addresses back. rt.mu is held.
func (rt *Runtime) forget(e *podEntry) {
	for name, other := range rt.pods {
		if other == e {
			delete(rt.pods, name)
			rt.addresses.release(name)
		}
	}
}

// startWanted starts every pod that is wanted and does not run.
func (rt *Runtime) startWanted(ctx context.Context) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for name, e := range rt.pods {
		if e.wanted != nil && e.runner == nil && ctx.Err() == nil {
			e.runner = rt.startPod(ctx, name, e.wanted, e.at)
			// Its sidecar has a configuration again.
			rt.plane.Changed()
		}
	}
}

// stopAll stops every pod and returns when all are gone.
func (rt *Runtime) stopAll() {
	rt.mu.Lock()
	var runners []*runner
	for _, e := range rt.pods {
		if e.runner != nil {
			runners = append(runners, e.runner)
		}
	}
	rt.mu.Unlock()
	var all sync.WaitGroup
	for _, r := range runners {
		all.Go(func() {
			r.stop()
			<-r.done
		})
	}
	gone := make(chan struct{})
	go func() {
		all.Wait()
		close(gone)
	}()
	for {
		select {
		case <-gone:
			return
		case <-rt.stopped:
		case <-rt.results:
		}
	}
}

// podChanged takes over that a pod became ready or is so no more, or that its
// sidecar is gone for good.
func (rt *Runtime) podChanged(name types.NamespacedName) {
	rt.mu.Lock()
	if e := rt.pods[name]; e != nil && e.wanted != nil {
		rt.store.Put(rt.podObject(e))
	}
	rt.mu.Unlock()
	rt.plane.Changed()
	rt.notify()
}

// sayNew prints what keeps pods from being placed, where it was not said for the
// files as they were before.
func (rt *Runtime) sayNew(failures []string) {
	for _, f := range failures {
		if !slices.Contains(rt.unplaced, f) {
			rt.line("smi", f)
		}
	}
	rt.unplaced = failures
}

// fillStore makes the store hold what the files say, with the pods as they
// are. rt.mu is held.
func (rt *Runtime) fillStore() {
	objects := make([]store.Object, 0, len(rt.result.Objects))
	for _, o := range rt.result.Objects {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			objects = append(objects, o)
			continue
		}
		if e := rt.pods[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]; e != nil {
			objects = append(objects, rt.podObject(e))
		}
	}
	rt.store.Replace(objects)
}

// podObject is the pod with its address and readiness, the same pointer as
// long as nothing changes. rt.mu is held.
func (rt *Runtime) podObject(e *podEntry) *corev1.Pod {
	ready := corev1.ConditionFalse
	if e.runner != nil && !e.stopping && e.runner.ready() {
		ready = corev1.ConditionTrue
	}
	if e.object != nil && e.object.UID == e.wanted.UID && e.object.Status.Conditions[0].Status == ready && sameObject(e.object, e.wanted) {
		return e.object
	}
	pod := e.wanted.DeepCopy()
	pod.Status.PodIP = e.at.sidecar.String()
	if !meshed(pod) {
		pod.Status.PodIP = e.at.app.String()
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[annotationAppAddress] = e.at.app.String()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	e.object = pod
	return pod
}

// sameObject compares a pod of the store with the one that it was made of.
func sameObject(object, wanted *corev1.Pod) bool {
	annotations := maps.Clone(object.Annotations)
	delete(annotations, annotationAppAddress)
	return maps.Equal(annotations, wanted.Annotations) && maps.Equal(object.Labels, wanted.Labels) &&
		apiequality.Semantic.DeepEqual(object.Spec, wanted.Spec)
}

// services are those of the files.
func (rt *Runtime) services() []*corev1.Service {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var all []*corev1.Service
	for _, o := range rt.result.Objects {
		if s, ok := o.(*corev1.Service); ok {
			all = append(all, s)
		}
	}
	return all
}

// assignUpstreams gives every Service port a local port of its own, which it
// keeps as long as the runtime runs. rt.mu is held.
func (rt *Runtime) assignUpstreams(objects []store.Object) {
	for _, o := range objects {
		service, ok := o.(*corev1.Service)
		if !ok {
			continue
		}
		name := mesh.Name{Namespace: service.Namespace, Name: service.Name}
		for _, p := range service.Spec.Ports {
			if p.Protocol == corev1.ProtocolUDP || p.Port < 1 || p.Port > 65535 || rt.upstreams[name][uint16(p.Port)] != 0 {
				continue
			}
			if rt.nextPort < firstUpstream {
				return // All ports are given away. HTTP clients need none.
			}
			ports := maps.Clone(rt.upstreams[name])
			if ports == nil {
				ports = map[uint16]uint16{}
			}
			ports[uint16(p.Port)] = rt.nextPort
			rt.upstreams[name] = ports
			rt.nextPort++
		}
	}
}

// upstreamsOf are the addresses at a pod's sidecar for clients without proxy.
func (rt *Runtime) upstreamsOf(at pair) []upstream {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var all []upstream
	for name, ports := range rt.upstreams {
		for port, local := range ports {
			all = append(all, upstream{service: name, port: port, address: fmt.Sprintf("%s:%d", at.sidecar, local)})
		}
	}
	return all
}

// place tells the control plane where the sidecar of a pod is, and false where
// the pod has none.
func (rt *Runtime) place(pod mesh.Name) (envoy.Placement, bool) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	e := rt.pods[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]
	if e == nil || e.runner != nil && !e.runner.hasProxy() {
		return envoy.Placement{}, false
	}
	return rt.placement(e.at), true
}
