package compile

import (
	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// routes are all HTTPRouteGroups and TCPRoutes.
type routes struct {
	groups   map[mesh.Name]*routeGroup
	ports    map[mesh.Name]*portRoute
	findings []mesh.Finding
}

type routeStageInputs struct {
	groups *store.Table[*specs.HTTPRouteGroup]
	ports  *store.Table[*specs.TCPRoute]
}

func (c *Compiler) readRoutes(in routeStageInputs) *routes {
	c.httpRoutes.begin()
	c.portRoutes.begin()
	out := &routes{groups: make(map[mesh.Name]*routeGroup, in.groups.Len()), ports: make(map[mesh.Name]*portRoute, in.ports.Len())}
	for _, o := range in.groups.All() {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		g := c.httpRoutes.get(name, routeGroupInputs{object: o}, buildRouteGroup)
		out.groups[name] = g
		out.findings = append(out.findings, g.findings...)
	}
	for _, o := range in.ports.All() {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		r := c.portRoutes.get(name, portRouteInputs{object: o}, buildPortRoute)
		out.ports[name] = r
		out.findings = append(out.findings, r.findings...)
	}
	c.httpRoutes.end()
	c.portRoutes.end()
	return out
}

// podSet are all pods that have not ended, in order of their names.
type podSet struct {
	all []*pod
	// place is where a pod is in all.
	place       map[*pod]int
	byNamespace map[string]*namespacePods
	byAddress   podAddresses
	// accounts are those that pods run as, and accountPlace where they are there.
	accounts     []accountPods
	accountPlace map[mesh.Account]int
	findings     []mesh.Finding
}

// accountPods are the places of the pods that run as an account.
type accountPods struct {
	name mesh.Account
	pods []int
}

// namespacePods are the pods of a namespace, with an index over their labels.
type namespacePods struct {
	all     []*pod
	byLabel map[label][]*pod
}

type label struct{ key, value string }

type podStageInputs struct {
	namespaces *store.Table[*corev1.Namespace]
	pods       *store.Table[*corev1.Pod]
}

func (c *Compiler) readPods(in podStageInputs) *podSet {
	c.pods.begin()
	out := &podSet{
		all: make([]*pod, 0, in.pods.Len()), place: make(map[*pod]int, in.pods.Len()), byNamespace: map[string]*namespacePods{},
		byAddress: make(podAddresses, in.pods.Len()), accountPlace: map[mesh.Account]int{},
	}
	modes := c.readModes(in.namespaces, out)
	for _, o := range in.pods.All() {
		if finished(o) {
			continue
		}
		mode, labelled := modes[o.Namespace]
		if !labelled {
			mode = c.config.Mode
		}
		p := c.pods.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, podInputs{object: o, mode: mode, config: &c.config}, buildPod)
		out.add(p)
	}
	c.pods.end()
	return out
}

func (c *Compiler) readModes(namespaces *store.Table[*corev1.Namespace], out *podSet) map[string]mesh.Mode {
	c.modes.begin()
	modes := map[string]mesh.Mode{}
	config := modeConfig{standard: c.config.Mode, floor: c.config.Floor}
	for _, o := range namespaces.All() {
		m := c.modes.get(o.Name, modeInputs{object: o, config: config}, buildMode)
		modes[o.Name] = m.mode
		out.findings = append(out.findings, m.findings...)
	}
	c.modes.end()
	return modes
}

func (s *podSet) add(p *pod) {
	s.place[p] = len(s.all)
	s.all = append(s.all, p)
	s.byAddress.add(p)
	at, known := s.accountPlace[p.account]
	if !known {
		at = len(s.accounts)
		s.accountPlace[p.account] = at
		s.accounts = append(s.accounts, accountPods{name: p.account})
	}
	s.accounts[at].pods = append(s.accounts[at].pods, s.place[p])
	s.findings = append(s.findings, p.findings...)
	in := s.byNamespace[p.name.Namespace]
	if in == nil {
		in = &namespacePods{byLabel: map[label][]*pod{}}
		s.byNamespace[p.name.Namespace] = in
	}
	in.all = append(in.all, p)
	for key, value := range p.labels {
		in.byLabel[label{key, value}] = append(in.byLabel[label{key, value}], p)
	}
}

// selected returns the pods of a namespace that a selector covers, in order of
// their names. It looks through the pods of the selector's rarest label only.
func (s *podSet) selected(namespace string, selector map[string]string) []*pod {
	in := s.byNamespace[namespace]
	if in == nil || len(selector) == 0 {
		return nil
	}
	candidates := in.all
	for key, value := range selector {
		if with := in.byLabel[label{key, value}]; len(with) < len(candidates) {
			candidates = with
		}
	}
	var found []*pod
	for _, p := range candidates {
		if selects(selector, p.labels) {
			found = append(found, p)
		}
	}
	return found
}

// bindingSet are all IdentityBindings.
type bindingSet struct {
	byName   map[mesh.Name]*binding
	findings []mesh.Finding
}

type bindingStageInputs struct {
	bindings *store.Table[*access.IdentityBinding]
	pods     *podSet
}

func (c *Compiler) readBindings(in bindingStageInputs) *bindingSet {
	c.bindings.begin()
	out := &bindingSet{byName: make(map[mesh.Name]*binding, in.bindings.Len())}
	for _, o := range in.bindings.All() {
		inputs := bindingInputs{object: o, trustDomain: c.config.TrustDomain}
		if pods := in.pods.byNamespace[o.Namespace]; pods != nil {
			inputs.pods = pods.all
		}
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		b := c.bindings.get(name, inputs, buildBinding)
		out.byName[name] = b
		out.findings = append(out.findings, b.findings...)
	}
	c.bindings.end()
	return out
}
