package compile

import (
	"net/netip"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// groupSet are the pods of every class as their callers see them, in the order
// of the classes. It is empty in the standalone runtime, where the mesh reaches
// pods by Services alone.
type groupSet struct {
	all []*group
	// reach is that of callers, of which there is one for each group.
	reach   *reach
	callers []*callers
}

type groupStageInputs struct {
	classes  *classSet
	policies *policySet
}

func (c *Compiler) resolveGroups(in groupStageInputs) *groupSet {
	out := &groupSet{}
	if !c.config.Sidecars {
		return out
	}
	c.groups.begin()
	out.all, out.callers = make([]*group, len(in.classes.all)), make([]*callers, len(in.classes.all))
	for i, m := range in.classes.all {
		inputs := groupInputs{class: m.class, policy: in.policies.get(m.class.account), pods: m.pods}
		out.all[i] = c.groups.get(m.class.id, inputs, buildGroup)
		out.callers[i] = &out.all[i].callers
	}
	c.groups.end()
	if last := c.groupStage.out; last != nil {
		out.reach = last.reach.following(last.callers, out.callers)
	} else {
		out.reach = buildReach(out.callers)
	}
	return out
}

// reachedBy are the pods that a principal may send to.
func (s *groupSet) reachedBy(p mesh.Principal) []*mesh.PodGroup {
	var found []*mesh.PodGroup
	for _, i := range s.reach.of(p) {
		found = append(found, s.all[i].pods)
	}
	return found
}

// group is what the pods of a class serve, and to whom.
type group struct {
	pods    *mesh.PodGroup
	callers callers
}

type groupInputs struct {
	class  *class
	policy *mesh.Policy
	pods   []*pod
}

func (i groupInputs) equal(o groupInputs) bool {
	return i.class.id == o.class.id && i.policy == o.policy && slices.Equal(i.pods, o.pods)
}

// same is true where pods became ready, or a grant said something else of the
// same sources.
func (g *group) same(o *group) bool {
	return g.pods.Account == o.pods.Account && slices.Equal(g.pods.Ports, o.pods.Ports) &&
		slices.Equal(g.pods.Addresses, o.pods.Addresses) && g.callers.same(&o.callers)
}

func buildGroup(in groupInputs) *group {
	g := &group{pods: &mesh.PodGroup{ID: in.class.id, Account: in.class.account, Ports: allPorts(in.class, in.policy)}}
	for _, p := range in.pods {
		g.pods.Addresses = append(g.pods.Addresses, parsed(p.addresses)...)
	}
	slices.SortFunc(g.pods.Addresses, netip.Addr.Compare)
	g.callers.everyone = !in.class.mode.Enforced()
	if in.policy == nil {
		return g
	}
	for _, grant := range in.policy.Grants {
		if slices.ContainsFunc(g.pods.Ports, func(p mesh.InboundPort) bool {
			return grant.Covers(p.Number) && (grant.Connections || p.Protocol != mesh.TCP)
		}) {
			g.callers.principals = append(g.callers.principals, grant.Sources...)
		}
	}
	return g
}

// allPorts are the ports of a class, those that grants name, and any other: a
// pod may listen on ports that nothing declares.
func allPorts(c *class, policy *mesh.Policy) []mesh.InboundPort {
	ports := append([]mesh.InboundPort{{Number: mesh.AnyPort, Protocol: mesh.Undeclared}}, c.ports...)
	if policy != nil {
		for _, g := range policy.Grants {
			for _, number := range g.Ports {
				known := slices.ContainsFunc(ports, func(p mesh.InboundPort) bool { return p.Number == number })
				if !known && !mesh.OfSidecar(number) {
					ports = append(ports, undeclaredPort(number, false))
				}
			}
		}
	}
	slices.SortFunc(ports, func(a, b mesh.InboundPort) int { return int(a.Number) - int(b.Number) })
	return ports
}

func undeclaredPort(number uint16, plaintext bool) mesh.InboundPort {
	return mesh.InboundPort{Number: number, Protocol: orServerFirst(mesh.Undeclared, number), Plaintext: plaintext}
}

// parsed are the addresses that are ones.
func parsed(addresses []string) []netip.Addr {
	var found []netip.Addr
	for _, text := range addresses {
		if a, err := netip.ParseAddr(text); err == nil {
			found = append(found, a.Unmap())
		}
	}
	return found
}

type addressStageInputs struct {
	pods     *podSet
	services *serviceSet
}

// resolveAddresses tells what is in the mesh by its address. What lies in a
// range of the configuration needs no prefix of its own.
func (c *Compiler) resolveAddresses(in addressStageInputs) *mesh.Addresses {
	list := newAddressList(&c.config)
	for _, p := range in.pods.all {
		if p.meshed {
			list.addPod(p)
		}
	}
	for _, s := range in.services.all {
		list.addService(clusterIPs(s))
	}
	for _, p := range in.pods.all {
		if !p.meshed && !p.hostNetwork {
			list.except(p.addresses)
		}
	}
	out := list.addresses()
	// A new pointer would be a new listener for every proxy to compare.
	if last := c.addressStage.out; last != nil && sameAddresses(last, out) {
		return last
	}
	return out
}
