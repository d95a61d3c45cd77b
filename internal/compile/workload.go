package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// class is what the pods of a workload class have in common.
type class struct {
	id      string
	account mesh.Account
	mode    mesh.Mode
	ports   []mesh.InboundPort
}

// same is true where a pod's ports speak what they spoke.
func (c *class) same(o *class) bool { return c.id == o.id }

type classInputs struct {
	pod   *pod
	ports *podPorts
	// sidecars is that of the configuration.
	sidecars bool
}

func (i classInputs) equal(o classInputs) bool { return i == o }

func buildClass(in classInputs) *class {
	c := &class{account: in.pod.account, mode: in.pod.mode}
	for _, number := range slices.Sorted(maps.Keys(in.ports.protocols)) {
		c.ports = append(c.ports, mesh.InboundPort{Number: number, Protocol: in.ports.protocols[number], Plaintext: in.pod.plaintext[number]})
	}
	if in.sidecars {
		for _, number := range slices.Sorted(maps.Keys(in.pod.plaintext)) {
			if _, declared := in.ports.protocols[number]; !declared {
				c.ports = append(c.ports, undeclaredPort(number, true))
			}
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v", c.account, c.mode, c.ports))
	c.id = hex.EncodeToString(sum[:16])
	return c
}

// accountInputs are what an account serves.
type accountInputs struct {
	name  mesh.Account
	ports []*podPorts
}

func (i accountInputs) equal(o accountInputs) bool {
	return i.name == o.name && slices.Equal(i.ports, o.ports)
}

func buildAccount(in accountInputs) *account {
	a := &account{name: in.name, ports: map[uint16]mesh.Protocol{}, servicePorts: map[uint16]uint16{}}
	for _, p := range in.ports {
		for port, protocol := range p.protocols {
			if known, ok := a.ports[port]; !ok || known == mesh.TCP {
				a.ports[port] = protocol
			}
		}
		maps.Copy(a.servicePorts, p.servicePorts)
	}
	return a
}

type policyInputs struct {
	account mesh.Account
	targets []*grants
}

func (i policyInputs) equal(o policyInputs) bool {
	return i.account == o.account && slices.Equal(i.targets, o.targets)
}

func buildPolicy(in policyInputs) *mesh.Policy {
	p := &mesh.Policy{Account: in.account, Grants: make([]*mesh.Grant, len(in.targets))}
	for i, t := range in.targets {
		p.Grants[i] = t.grant
	}
	return p
}

// callers are those who may send anything at all to a Service port.
type callers struct {
	// everyone tells that some destination does not ask who is calling.
	everyone bool
	// principals are the others, unsorted and with repetitions.
	principals []mesh.Principal
}

// same is true where a weight changed, or a grant said something else of the
// same sources.
func (c *callers) same(o *callers) bool {
	return c.everyone == o.everyone && slices.Equal(c.principals, o.principals)
}

type callersInputs struct {
	// from is where the policies were looked up. It tells at once that they are
	// what they were, and nothing reads it to find the callers.
	from *policySet
	// ports are the port itself and the ports of its splits' backends.
	ports []*mesh.ServicePort
	// policies are those of the destinations of all these ports, in order.
	policies []*mesh.Policy
}

func (i callersInputs) equal(o callersInputs) bool {
	return slices.Equal(i.ports, o.ports) && slices.Equal(i.policies, o.policies)
}

func buildCallers(in callersInputs) *callers {
	c := &callers{}
	next := 0
	for _, port := range in.ports {
		// Nobody is there who could object: the answer is 503, not 403.
		c.everyone = c.everyone || len(port.Destinations) == 0
		for _, d := range port.Destinations {
			policy := in.policies[next]
			next++
			c.everyone = c.everyone || !d.Meshed || !d.Mode.Enforced()
			if policy == nil {
				continue
			}
			for _, g := range policy.Grants {
				if g.Covers(d.Port) && (g.Connections || d.Protocol != mesh.TCP) {
					c.principals = append(c.principals, g.Sources...)
				}
			}
		}
	}
	return c
}

// workloadInputs are a class, what its account may be called for, and what it
// reaches: positions in a list of ports.
type workloadInputs struct {
	class   *class
	policy  *mesh.Policy
	reaches []int
	ports   []*mesh.ServicePort
	pods    []*pod
	// group and reachesPods are nil but on a cluster.
	group       *mesh.PodGroup
	reachesPods []*mesh.PodGroup
}

func (i workloadInputs) equal(o workloadInputs) bool {
	return i.class.id == o.class.id && i.policy == o.policy && slices.Equal(i.pods, o.pods) &&
		i.group == o.group && slices.Equal(i.reachesPods, o.reachesPods) &&
		slices.EqualFunc(i.reaches, o.reaches, func(a, b int) bool { return i.ports[a] == o.ports[b] })
}

func buildWorkload(in workloadInputs) *mesh.Workload {
	w := &mesh.Workload{ID: in.class.id, Account: in.class.account, Mode: in.class.mode, Ports: in.class.ports, Policy: in.policy, ReachesPods: in.reachesPods}
	if in.group != nil {
		w.Ports = in.group.Ports
	}
	for _, i := range in.reaches {
		w.Reaches = append(w.Reaches, in.ports[i])
	}
	for _, p := range in.pods {
		w.Pods = append(w.Pods, p.name)
	}
	return w
}

// reach tells for every principal which Service ports it may send to, as their
// sorted positions in the list of all. Positions and not ports, since ports
// change more often than who may send to them.
type reach struct {
	everyone []int
	granted  map[mesh.Principal][]int
}

func buildReach(all []*callers) *reach {
	r := &reach{granted: map[mesh.Principal][]int{}}
	for i, c := range all {
		if c.everyone {
			r.everyone = append(r.everyone, i)
			continue
		}
		for _, p := range c.principals {
			ports := r.granted[p]
			if len(ports) == 0 || ports[len(ports)-1] != i {
				r.granted[p] = append(ports, i)
			}
		}
	}
	return r
}

// following is the reach of these callers, made from this one, which is that of
// the last walk's.
func (r *reach) following(was, now []*callers) *reach {
	if slices.Equal(was, now) {
		return r
	}
	if len(was) == len(now) {
		if next, ok := r.after(was, now); ok {
			return next
		}
	}
	return buildReach(now)
}

// after is the reach once the callers are others than it was built from, which
// were as many. Most of it is shared.
func (r *reach) after(was, now []*callers) (*reach, bool) {
	next := &reach{everyone: r.everyone, granted: maps.Clone(r.granted)}
	for i := range now {
		if was[i] == now[i] {
			continue
		}
		if was[i].everyone || now[i].everyone {
			return nil, false
		}
		for _, p := range was[i].principals {
			ports := next.granted[p]
			if at, found := slices.BinarySearch(ports, i); !found {
				continue // Named twice.
			} else if len(ports) == 1 {
				delete(next.granted, p)
			} else {
				next.granted[p] = slices.Concat(ports[:at], ports[at+1:])
			}
		}
		for _, p := range now[i].principals {
			ports := next.granted[p]
			if at, found := slices.BinarySearch(ports, i); !found {
				next.granted[p] = slices.Concat(ports[:at], []int{i}, ports[at:])
			}
		}
	}
	return next, true
}

// of returns the ports that a principal may send to.
func (r *reach) of(p mesh.Principal) []int {
	granted := r.granted[p]
	switch {
	case len(r.everyone) == 0:
		return granted
	case len(granted) == 0:
		return r.everyone
	}
	all := slices.Concat(r.everyone, granted)
	slices.Sort(all)
	return all
}
