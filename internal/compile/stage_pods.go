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
	list := &addressList{ranges: c.config.Ranges, all: map[netip.Addr]bool{}}
	for _, p := range in.pods.all {
		if p.meshed {
			list.add(p.addresses)
			list.exclude(p)
		}
	}
	for _, s := range in.services.all {
		list.add(clusterIPs(s))
	}
	for _, p := range in.pods.all {
		if !p.meshed && !p.hostNetwork {
			list.except(p.addresses)
		}
	}
	slices.SortFunc(list.ports, netip.AddrPort.Compare)
	out := &mesh.Addresses{OutsidePorts: slices.Compact(list.ports), Inside: ordered(append(list.inside, c.config.Ranges...)), Outside: ordered(list.outside)}
	// A new pointer would be a new listener for every proxy to compare.
	if last := c.addressStage.out; last != nil && slices.Equal(last.Inside, out.Inside) && slices.Equal(last.Outside, out.Outside) && slices.Equal(last.OutsidePorts, out.OutsidePorts) {
		return last
	}
	return out
}

// addressList collects single addresses.
type addressList struct {
	ranges []netip.Prefix
	// all are the addresses in the mesh, in a range or not.
	all             map[netip.Addr]bool
	inside, outside []netip.Prefix
	ports           []netip.AddrPort
}

// add adds addresses of the mesh.
func (l *addressList) add(addresses []string) {
	for _, a := range parsed(addresses) {
		if l.all[a] = true; !l.covers(a) {
			l.inside = append(l.inside, netip.PrefixFrom(a, a.BitLen()))
		}
	}
}

// exclude adds the ports of a pod whose connections pass its sidecar by.
func (l *addressList) exclude(p *pod) {
	for _, a := range parsed(p.addresses) {
		for port := range p.excluded {
			l.ports = append(l.ports, netip.AddrPortFrom(a, port))
		}
	}
}

// except adds addresses of pods that are not meshed, once all others are known.
// For a moment an old pod and a new one may have the same address.
func (l *addressList) except(addresses []string) {
	for _, a := range parsed(addresses) {
		if l.covers(a) && !l.all[a] {
			l.outside = append(l.outside, netip.PrefixFrom(a, a.BitLen()))
		}
	}
}

func (l *addressList) covers(a netip.Addr) bool {
	return slices.ContainsFunc(l.ranges, func(r netip.Prefix) bool { return r.Contains(a) })
}

func ordered(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(list)
}
