//go:build linux

package local

import (
	"fmt"
)

func (r *runner) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readyLocked()
}

// readyLocked tells whether the pod takes traffic. r.mu is held.
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

// hasProxy tells whether the pod has a sidecar to be configured.
func (r *runner) hasProxy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proxied
}

// status is the runner's part of a pod's status.
func (r *runner) status() PodStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := PodStatus{
		Namespace: r.name.Namespace, Name: r.name.Name, Workload: owner(r.pod), ServiceAccount: r.pod.Spec.ServiceAccountName,
		Ready: r.readyLocked(), Restarts: r.restarts, Since: r.since, Address: r.at.app.String(),
	}
	if meshed(r.pod) {
		s.SidecarAddress = r.at.sidecar.String()
		s.RequestProxy = fmt.Sprintf("%s:%d", r.at.sidecar, portRequest)
	}
	s.State, s.Reason = r.stateLocked()
	return s
}

// stateLocked is where the pod is in its life, and why it is not ready. r.mu is
// held.
func (r *runner) stateLocked() (State, string) {
	finished, state, reason := 0, Running, ""
	for i, c := range r.containers {
		name := r.pod.Spec.Containers[i].Name
		switch {
		case c.finished:
			finished++
		case !c.running && c.err != nil:
			state, reason = Failing, fmt.Sprintf("container %s %v", name, c.err)
		case !c.running && c.starts > 0:
			state, reason = Failing, fmt.Sprintf("container %s ended", name)
		case c.running && !c.ready && c.err != nil:
			reason = fmt.Sprintf("container %s is not ready: %v", name, c.err)
		case !c.ready:
			reason = fmt.Sprintf("container %s is not ready yet", name)
		}
	}
	switch {
	case r.failure != nil:
		return Failing, r.failure.Error()
	case r.waiting != nil:
		return Failing, r.waiting.Error()
	case finished > 0 && finished == len(r.containers):
		return Done, ""
	case !r.sidecar:
		return Starting, "waits for its sidecar"
	}
	return state, reason
}
