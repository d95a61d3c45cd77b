//go:build linux

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// placement is where the sidecar with these addresses stands. rt.mu is held.
func (rt *Runtime) placement(at pair) envoy.Placement {
	upstreams := map[envoy.ServicePort]uint16{}
	for name, ports := range rt.upstreams {
		for port, local := range ports {
			upstreams[envoy.ServicePort{Service: name, Port: port}] = local
		}
	}
	return envoy.Placement{
		SidecarAddress: at.sidecar.String(), AppAddress: at.app.String(),
		OutboundPort: portProxy, RequestPort: portRequest, Upstreams: upstreams,
	}
}

// findings are those of the files and those of the mesh.
func (rt *Runtime) findings(m *mesh.Mesh) []mesh.Finding {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var all []mesh.Finding
	if rt.result != nil {
		all = append(all, rt.result.Findings...)
	}
	if m != nil {
		all = append(all, m.Findings...)
	}
	return all
}

// maxAlike is how many findings with one reason about one object are printed.
const maxAlike = 3

// announce prints the findings that are new, each once as long as it holds. It is
// called after every push.
func (rt *Runtime) announce(m *mesh.Mesh) {
	type kind struct {
		object mesh.ObjectRef
		reason string
	}
	findings := rt.findings(m)
	current, alike := make(map[string]bool, len(findings)), map[kind]int{}
	rt.mu.Lock()
	known := rt.announced
	rt.mu.Unlock()
	for _, f := range findings {
		if f.Severity == mesh.Info {
			continue
		}
		text := fmt.Sprintf("%s %s: %s: %s (%s)", f.Severity, f.Object, cmp.Or(f.Field, f.Reason), f.Message, cmp.Or(f.Rule, f.Reason))
		current[text] = true
		if known[text] {
			continue
		}
		k := kind{f.Object, f.Reason}
		if alike[k]++; alike[k] <= maxAlike {
			rt.line("smi", text)
		}
	}
	for k, n := range alike {
		if n > maxAlike {
			rt.line("smi", fmt.Sprintf("%s: %d more findings like these; smi check lists them", k.object, n-maxAlike))
		}
	}
	rt.mu.Lock()
	rt.announced = current
	rt.mu.Unlock()
	rt.traffic.follow(m)
	rt.notify()
}

// proxyChanged prints what a proxy refuses, once.
func (rt *Runtime) proxyChanged(p xds.ProxyStatus) {
	rt.mu.Lock()
	said := rt.refused[p.Node]
	rt.refused[p.Node] = p.LastError
	if p.LastError == "" {
		delete(rt.refused, p.Node)
	}
	rt.mu.Unlock()
	if p.LastError != "" && p.LastError != said {
		text := "its sidecar keeps its last good configuration: " + p.LastError
		if strings.Contains(p.LastError, "Address already in use") {
			text += "; another process listens there or on all addresses: stop it and change something about the pod, which is then started anew, or use another port"
		}
		rt.line(p.Node, text)
	}
	rt.notify()
}

// Settle waits until every pod is ready and every sidecar has acknowledged what
// the files say. The error names what is not.
func (rt *Runtime) Settle(ctx context.Context) error {
	for {
		rt.mu.Lock()
		changed := rt.changed
		rt.mu.Unlock()
		missing := rt.missing()
		if missing == "" {
			if err := rt.plane.Settle(ctx); err != nil {
				return err
			}
			if rt.missing() == "" {
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return errors.New(missing)
		case <-changed:
		}
	}
}

// missing says what keeps the mesh from being settled, "" where nothing does.
func (rt *Runtime) missing() string {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.result == nil {
		return "the files were not read yet"
	}
	for name, e := range rt.pods {
		switch {
		case e.wanted == nil || e.stopping:
			return fmt.Sprintf("pod %s still stops", name)
		case e.runner == nil:
			return fmt.Sprintf("pod %s has not started", name)
		}
		if s := e.runner.status(); s.State != Done && (!s.Ready || !inStore(e)) {
			return fmt.Sprintf("pod %s is not ready: %s", name, cmp.Or(s.Reason, string(s.State)))
		}
	}
	return ""
}

// inStore tells whether the store knows that the pod is ready: it learns that a
// moment after the pod is.
func inStore(e *podEntry) bool {
	return e.object != nil && e.object.Status.Conditions[0].Status == corev1.ConditionTrue
}

// Status tells what the mesh looks like now.
func (rt *Runtime) Status() Status {
	m := rt.plane.Mesh()
	s := Status{Pods: []PodStatus{}, Splits: rt.splits(m), Denials: rt.traffic.denied(), Findings: rt.findings(m), Settled: rt.missing() == "" && !rt.plane.Pending()}
	proxies := map[string]string{}
	for _, p := range rt.plane.Proxies() {
		proxies[p.Node] = proxyState(p)
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for name, e := range rt.pods {
		if e.runner == nil {
			continue
		}
		p := e.runner.status()
		switch {
		case e.runner.hasProxy():
			p.Proxy = cmp.Or(proxies[name.String()], notConnected)
			s.Settled = s.Settled && p.Proxy == InSync
		default:
			p.Proxy = "none"
		}
		if e.stopping {
			p.State, p.Ready, p.Reason = Stopping, false, ""
		}
		s.Pods = append(s.Pods, p)
	}
	slices.SortFunc(s.Pods, func(a, b PodStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return s
}

const notConnected = "not connected"

// proxyState says in words how far a proxy is.
func proxyState(p xds.ProxyStatus) string {
	switch {
	case p.LastError != "":
		return p.LastError
	case !p.Connected:
		return notConnected
	case p.Synced:
		return InSync
	}
	return "updating"
}
