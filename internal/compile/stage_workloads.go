package compile

import (
	"cmp"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// classSet are the workload classes of all meshed pods, sorted by their ids.
type classSet struct {
	all []*members
	// pods and ofPods are what they were made of: a class for each pod, nil for
	// those that are not in the mesh.
	pods   *podSet
	ofPods []*class
}

// same is true where the same pods are of the same classes.
func (s *classSet) same(o *classSet) bool {
	return s.pods == o.pods && slices.Equal(s.ofPods, o.ofPods)
}

// members are a class and its pods, in order of their names.
type members struct {
	class     *class
	principal mesh.Principal
	pods      []*pod

	// policies and reach are where the last two were looked up, which tells at
	// once that they are what they were.
	policies *policySet
	reach    *reach
	policy   *mesh.Policy
	reaches  []int
}

// lookUp finds what may be called at the class and what it may call.
func (m *members) lookUp(policies *policySet, reach *reach) {
	if m.policies != policies {
		m.policies, m.policy = policies, policies.get(m.class.account)
	}
	if m.reach != reach {
		m.reach, m.reaches = reach, reach.of(m.principal)
	}
}

type classStageInputs struct {
	pods     *podSet
	services *serviceSet
}

func (c *Compiler) resolveClasses(in classStageInputs) *classSet {
	c.classes.begin()
	out := &classSet{pods: in.pods, ofPods: make([]*class, len(in.pods.all))}
	for i, p := range in.pods.all {
		if p.meshed {
			out.ofPods[i] = c.classes.get(p.name, classInputs{pod: p, ports: in.services.ports[i], sidecars: c.config.Sidecars}, buildClass)
		}
	}
	c.classes.end()
	if last := c.classStage.out; last == nil || !out.same(last) {
		c.collectMembers(out, last)
	}
	return out
}

// collectMembers puts the pods of each class together. Where the pods are the
// same as the last time, classes that no pod has joined or left are kept, with
// what was looked up for them.
func (c *Compiler) collectMembers(out, last *classSet) {
	anew := map[string]*members{}
	all := last == nil || last.pods != out.pods
	if !all {
		for i, k := range out.ofPods {
			if was := last.ofPods[i]; was != k { // of the same pod, so neither is nil
				anew[was.id], anew[k.id] = nil, nil
			}
		}
		out.all = slices.DeleteFunc(slices.Clone(last.all), func(m *members) bool {
			_, changed := anew[m.class.id]
			return changed
		})
	}
	for i, k := range out.ofPods {
		if k == nil {
			continue
		}
		m, changed := anew[k.id]
		if !all && !changed {
			continue
		}
		if m == nil {
			m = &members{class: k, principal: mesh.PrincipalOf(c.config.TrustDomain, k.account)}
			anew[k.id] = m
			out.all = append(out.all, m)
		}
		m.pods = append(m.pods, out.pods.all[i])
	}
	slices.SortFunc(out.all, func(a, b *members) int { return cmp.Compare(a.class.id, b.class.id) })
}

// callerSet tells who may send where.
type callerSet struct {
	// ports are all Service ports but UDP's, in order of their Services and
	// numbers.
	ports []*mesh.ServicePort
	reach *reach
	// all are the callers that the reach is of, one for each port.
	all []*callers
}

type callerStageInputs struct {
	roots    *rootSet
	policies *policySet
}

func (c *Compiler) resolveCallers(in callerStageInputs) *callerSet {
	c.callers.begin()
	out := &callerSet{ports: make([]*mesh.ServicePort, 0, len(in.roots.all))}
	for _, s := range in.roots.all {
		first := len(out.ports)
		for _, p := range s.Ports {
			if p.Protocol != mesh.UDP {
				out.ports = append(out.ports, p)
			}
		}
		slices.SortStableFunc(out.ports[first:], func(a, b *mesh.ServicePort) int { return cmp.Compare(a.Number, b.Number) })
	}
	out.all = make([]*callers, len(out.ports))
	for i, p := range out.ports {
		key := portKey{p.Service, p.Number}
		k, ok := c.callers.kept(key, func(last *callersInputs) bool { return in.holds(p, last) })
		if !ok {
			k = c.callers.get(key, in.callersInputs(p), buildCallers)
		}
		out.all[i] = k
	}
	c.callers.end()
	if last := c.callerStage.out; last != nil {
		out.reach = last.reach.following(last.all, out.all)
	} else {
		out.reach = buildReach(out.all)
	}
	return out
}

// eachPort visits the port itself and the ports of its splits' backends, as long
// as visit returns true.
func (in callerStageInputs) eachPort(p *mesh.ServicePort, visit func(*mesh.ServicePort) bool) {
	if !visit(p) {
		return
	}
	for _, split := range p.Splits {
		for _, b := range split.Backends {
			if !visit(in.roots.get(b.Service).Port(b.Port)) {
				return
			}
		}
	}
}

func (in callerStageInputs) callersInputs(p *mesh.ServicePort) callersInputs {
	inputs := callersInputs{from: in.policies}
	in.eachPort(p, func(port *mesh.ServicePort) bool {
		inputs.ports = append(inputs.ports, port)
		for _, d := range port.Destinations {
			inputs.policies = append(inputs.policies, in.policies.get(d.Account))
		}
		return true
	})
	return inputs
}

// holds tells whether the port's inputs are the ones that are given.
func (in callerStageInputs) holds(p *mesh.ServicePort, last *callersInputs) bool {
	ports, policies, same := 0, 0, true
	in.eachPort(p, func(port *mesh.ServicePort) bool {
		same = ports < len(last.ports) && last.ports[ports] == port
		ports++
		for i := 0; same && last.from != in.policies && i < len(port.Destinations); i++ {
			same = last.policies[policies] == in.policies.get(port.Destinations[i].Account)
			policies++
		}
		return same
	})
	if same = same && ports == len(last.ports); same {
		last.from = in.policies
	}
	return same
}

// workloadSet are the workloads, sorted by their ids.
type workloadSet struct{ all []*mesh.Workload }

type workloadStageInputs struct {
	classes  *classSet
	policies *policySet
	callers  *callerSet
	groups   *groupSet
}

func (c *Compiler) resolveWorkloads(in workloadStageInputs) *workloadSet {
	c.workloads.begin()
	out := &workloadSet{all: make([]*mesh.Workload, 0, len(in.classes.all))}
	for i, m := range in.classes.all {
		m.lookUp(in.policies, in.callers.reach)
		inputs := workloadInputs{class: m.class, policy: m.policy, pods: m.pods, ports: in.callers.ports, reaches: m.reaches}
		if c.config.Sidecars {
			inputs.group = in.groups.all[i].pods
			inputs.reachesPods = in.groups.reachedBy(m.principal)
		}
		out.all = append(out.all, c.workloads.get(m.class.id, inputs, buildWorkload))
	}
	c.workloads.end()
	return out
}
