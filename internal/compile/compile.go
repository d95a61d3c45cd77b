package compile

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Config is what the mesh's configuration says of the meaning of resources.
type Config struct {
	// TrustDomain is the SPIFFE trust domain; "cluster.local" when empty (ID-1).
	TrustDomain string
	// ClusterDomain ends the full names of Services; "cluster.local" when empty.
	ClusterDomain string
	// Mode is that of namespaces without a label; Strict when empty (AC-1).
	Mode mesh.Mode
	// Floor is the mode below which nothing leads, neither Mode nor a namespace's
	// label (AC-16); Permissive, which is no floor, when empty.
	Floor mesh.Mode
}

// Compiler turns snapshots into meshes. It remembers the last walk, so that
// the next one makes anew only what changed. It is not safe for concurrent use.
type Compiler struct {
	config Config

	groups     memo[mesh.Name, routeGroupInputs, *routeGroup]
	portRoutes memo[mesh.Name, portRouteInputs, *portRoute]
	modes      memo[string, modeInputs, *namespaceMode]
	pods       memo[mesh.Name, podInputs, *pod]
	bindings   memo[mesh.Name, bindingInputs, *binding]
	services   memo[mesh.Name, serviceInputs, *service]
	podPorts   memo[mesh.Name, podPortsInputs, *podPorts]
	accounts   memo[mesh.Account, accountInputs, *account]
	classes    memo[mesh.Name, classInputs, *class]
	targets    memo[mesh.Name, targetInputs, *grants]
	policies   memo[mesh.Account, policyInputs, *mesh.Policy]
	splits     memo[mesh.Name, splitInputs, *resolvedSplit]
	roots      memo[mesh.Name, rootInputs, *root]
	callers    memo[portKey, callersInputs, *callers]
	reach      memo[struct{}, reachInputs, *reach]
	workloads  memo[string, workloadInputs, *mesh.Workload]
}

type portKey struct {
	service mesh.Name
	number  uint16
}

// New returns a compiler that has seen nothing yet.
func New(config Config) *Compiler {
	config.TrustDomain = cmp.Or(config.TrustDomain, "cluster.local")
	config.ClusterDomain = cmp.Or(config.ClusterDomain, "cluster.local")
	config.Mode = cmp.Or(config.Mode, mesh.Strict)
	config.Floor = cmp.Or(config.Floor, mesh.Permissive)
	if strictness(config.Mode) < strictness(config.Floor) {
		config.Mode = config.Floor
	}
	return &Compiler{config: config}
}

// Compile gives a snapshot its meaning. The result depends on the snapshot and
// the configuration alone; what did not change since the last call keeps its
// pointers.
func (c *Compiler) Compile(snapshot *store.Snapshot) *mesh.Mesh {
	for _, m := range c.memos() {
		m.begin()
	}
	w := &walk{Compiler: c, snapshot: snapshot}
	w.readRoutes()
	w.readPods()
	w.readBindings()
	w.resolveServices()
	w.resolveAccounts()
	w.resolveTargets()
	w.resolveSplits()
	w.resolveRoots()
	w.resolveWorkloads()
	for _, m := range c.memos() {
		m.end()
	}
	slices.SortStableFunc(w.findings, mesh.Finding.Compare)
	return mesh.New(c.config.TrustDomain, w.meshServices, w.meshWorkloads, w.meshPolicies, w.findings)
}

func (c *Compiler) memos() []interface {
	begin()
	end()
} {
	return []interface {
		begin()
		end()
	}{
		&c.groups, &c.portRoutes, &c.modes, &c.pods, &c.bindings, &c.services, &c.podPorts, &c.accounts,
		&c.classes, &c.targets, &c.policies, &c.splits, &c.roots, &c.callers, &c.reach, &c.workloads,
	}
}

// walk is one compilation: what its stages hand to each other.
type walk struct {
	*Compiler
	snapshot *store.Snapshot
	findings []mesh.Finding

	groupOf   map[mesh.Name]*routeGroup
	routeOf   map[mesh.Name]*portRoute
	podList   []*pod
	podsIn    map[string]*namespacePods
	bindingOf map[mesh.Name]*binding
	serviceOf map[mesh.Name]*service
	ordered   []*service
	portsOf   map[*pod]*podPorts
	accountOf map[mesh.Account]*account
	rootOf    map[mesh.Name]*mesh.Service
	splitsOf  map[mesh.Name][]*resolvedSplit
	policyOf  map[mesh.Account]*mesh.Policy

	meshServices  []*mesh.Service
	meshWorkloads []*mesh.Workload
	meshPolicies  []*mesh.Policy
}

func (w *walk) found(findings []mesh.Finding) { w.findings = append(w.findings, findings...) }

func (w *walk) readRoutes() {
	groups, routes := w.snapshot.HTTPRouteGroups.All(), w.snapshot.TCPRoutes.All()
	w.groupOf = make(map[mesh.Name]*routeGroup, len(groups))
	for _, o := range groups {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		g := w.groups.get(name, routeGroupInputs{object: o}, buildRouteGroup)
		w.groupOf[name] = g
		w.found(g.findings)
	}
	w.routeOf = make(map[mesh.Name]*portRoute, len(routes))
	for _, o := range routes {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		r := w.portRoutes.get(name, portRouteInputs{object: o}, buildPortRoute)
		w.routeOf[name] = r
		w.found(r.findings)
	}
}

// namespacePods are the pods of a namespace, with an index over their labels.
type namespacePods struct {
	all     []*pod
	byLabel map[label][]*pod
}

type label struct{ key, value string }

func (w *walk) readPods() {
	modes := w.readModes()
	objects := w.snapshot.Pods.All()
	w.podList = make([]*pod, 0, len(objects))
	w.podsIn = map[string]*namespacePods{}
	for _, o := range objects {
		if finished(o) {
			continue
		}
		mode, labelled := modes[o.Namespace]
		if !labelled {
			mode = w.config.Mode
		}
		p := w.pods.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, podInputs{object: o, mode: mode}, buildPod)
		w.podList = append(w.podList, p)
		w.found(p.findings)
		in := w.podsIn[o.Namespace]
		if in == nil {
			in = &namespacePods{byLabel: map[label][]*pod{}}
			w.podsIn[o.Namespace] = in
		}
		in.all = append(in.all, p)
		for key, value := range p.labels {
			in.byLabel[label{key, value}] = append(in.byLabel[label{key, value}], p)
		}
	}
}

func (w *walk) readModes() map[string]mesh.Mode {
	modes := map[string]mesh.Mode{}
	config := modeConfig{standard: w.config.Mode, floor: w.config.Floor}
	for _, o := range w.snapshot.Namespaces.All() {
		m := w.modes.get(o.Name, modeInputs{object: o, config: config}, buildMode)
		modes[o.Name] = m.mode
		w.found(m.findings)
	}
	return modes
}

func (w *walk) readBindings() {
	w.bindingOf = map[mesh.Name]*binding{}
	for _, o := range w.snapshot.IdentityBindings.All() {
		in := bindingInputs{object: o, trustDomain: w.config.TrustDomain}
		if pods := w.podsIn[o.Namespace]; pods != nil {
			in.pods = pods.all
		}
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		b := w.bindings.get(name, in, buildBinding)
		w.bindingOf[name] = b
		w.found(b.findings)
	}
}

// selected returns the pods of a namespace that a selector covers, in order of
// their names. It looks through the pods of the selector's rarest label only.
func (w *walk) selected(namespace string, selector map[string]string) []*pod {
	in := w.podsIn[namespace]
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

func (w *walk) resolveServices() {
	objects := w.snapshot.Services.All()
	endpointSlices := w.slicesByService()
	w.serviceOf = make(map[mesh.Name]*service, len(objects))
	servicesOf := make(map[*pod][]*service, len(w.podList))
	for _, o := range objects {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		in := serviceInputs{object: o}
		switch {
		case o.Spec.Type == corev1.ServiceTypeExternalName:
		case len(o.Spec.Selector) > 0:
			in.pods = w.selected(o.Namespace, o.Spec.Selector)
		default:
			in.slices = endpointSlices[name]
		}
		s := w.services.get(name, in, buildService)
		w.serviceOf[name] = s
		w.ordered = append(w.ordered, s)
		w.found(s.findings)
		for _, p := range s.pods {
			servicesOf[p] = append(servicesOf[p], s)
		}
	}
	w.portsOf = make(map[*pod]*podPorts, len(w.podList))
	for _, p := range w.podList {
		w.portsOf[p] = w.podPorts.get(p.name, podPortsInputs{pod: p, services: servicesOf[p]}, buildPodPorts)
	}
}

func (w *walk) slicesByService() map[mesh.Name][]*discoveryv1.EndpointSlice {
	found := map[mesh.Name][]*discoveryv1.EndpointSlice{}
	for _, o := range w.snapshot.EndpointSlices.All() {
		if service := o.Labels[discoveryv1.LabelServiceName]; service != "" {
			name := mesh.Name{Namespace: o.Namespace, Name: service}
			found[name] = append(found[name], o)
		}
	}
	return found
}

func (w *walk) resolveAccounts() {
	inputs := map[mesh.Account]*accountInputs{}
	for _, p := range w.podList {
		in := inputs[p.account]
		if in == nil {
			in = &accountInputs{name: p.account}
			inputs[p.account] = in
		}
		in.ports = append(in.ports, w.portsOf[p])
	}
	w.accountOf = make(map[mesh.Account]*account, len(inputs))
	for name, in := range inputs {
		w.accountOf[name] = w.accounts.get(name, *in, buildAccount)
	}
}

func (w *walk) resolveTargets() {
	objects := w.snapshot.TrafficTargets.All()
	byAccount := map[mesh.Account][]*grants{}
	for _, o := range objects {
		g := w.targets.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, w.targetInputs(o), buildTarget)
		w.found(g.findings)
		if g.grant == nil {
			continue
		}
		for _, a := range g.destinations {
			byAccount[a] = append(byAccount[a], g)
		}
	}
	w.policyOf = make(map[mesh.Account]*mesh.Policy, len(byAccount))
	w.meshPolicies = make([]*mesh.Policy, 0, len(byAccount))
	for name, targets := range byAccount {
		p := w.policies.get(name, policyInputs{account: name, targets: targets}, buildPolicy)
		w.policyOf[name] = p
		w.meshPolicies = append(w.meshPolicies, p)
	}
	slices.SortFunc(w.meshPolicies, func(a, b *mesh.Policy) int { return a.Account.Compare(b.Account) })
}

func (w *walk) targetInputs(o *access.TrafficTarget) targetInputs {
	in := targetInputs{object: o, trustDomain: w.config.TrustDomain}
	in.destination = w.subject(o.Namespace, o.Spec.Destination)
	if b := in.destination.binding; b != nil && len(b.accounts) > 0 {
		in.account = w.accountOf[b.accounts[0]]
	} else {
		in.account = w.accountOf[mesh.Account{Namespace: o.Namespace, Name: o.Spec.Destination.Name}]
	}
	in.sources = make([]subject, len(o.Spec.Sources))
	for i, s := range o.Spec.Sources {
		in.sources[i] = w.subject(o.Namespace, s)
	}
	in.rules = make([]rule, len(o.Spec.Rules))
	for i, r := range o.Spec.Rules {
		name := mesh.Name{Namespace: o.Namespace, Name: r.Name}
		switch r.Kind {
		case kindHTTPRouteGroup:
			in.rules[i].group = w.groupOf[name]
		case kindTCPRoute:
			in.rules[i].ports = w.routeOf[name]
		case kindUDPRoute:
			_, in.rules[i].exists = w.snapshot.UDPRoutes.Get(o.Namespace, r.Name)
		}
	}
	return in
}

func (w *walk) subject(namespace string, s access.IdentityBindingSubject) subject {
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	name := mesh.Name{Namespace: namespace, Name: s.Name}
	if s.Kind == kindBinding {
		return subject{binding: w.bindingOf[name]}
	}
	_, known := w.snapshot.ServiceAccounts.Get(namespace, s.Name)
	return subject{known: known || s.Name == "default" || w.accountOf[name] != nil}
}

func (w *walk) resolveSplits() {
	w.splitsOf = map[mesh.Name][]*resolvedSplit{}
	for _, o := range w.snapshot.TrafficSplits.All() {
		in := splitInputs{object: o, clusterDomain: w.config.ClusterDomain}
		rootName, _ := serviceName(o.Spec.Service, o.Namespace, w.config.ClusterDomain)
		in.root = w.serviceOf[rootName]
		in.backends = make([]*service, len(o.Spec.Backends))
		for i, b := range o.Spec.Backends {
			if name, ok := serviceName(b.Service, o.Namespace, w.config.ClusterDomain); ok {
				in.backends[i] = w.serviceOf[name]
			}
		}
		in.groups = make([]*routeGroup, len(o.Spec.Matches))
		for i, m := range o.Spec.Matches {
			if m.Kind == kindHTTPRouteGroup && (m.APIGroup == nil || *m.APIGroup == "" || *m.APIGroup == "specs.smi-spec.io") {
				in.groups[i] = w.groupOf[mesh.Name{Namespace: o.Namespace, Name: m.Name}]
			}
		}
		s := w.splits.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, in, buildSplit)
		w.splitsOf[rootName] = append(w.splitsOf[rootName], s)
		w.found(s.findings)
	}
}

func (w *walk) resolveRoots() {
	w.rootOf = make(map[mesh.Name]*mesh.Service, len(w.ordered))
	for _, s := range w.ordered {
		in := rootInputs{service: s, splits: w.splitsOf[s.name], ports: make([]*podPorts, len(s.pods))}
		for i, p := range s.pods {
			in.ports[i] = w.portsOf[p]
		}
		r := w.roots.get(s.name, in, buildRoot)
		w.found(r.findings)
		if s.external {
			continue
		}
		w.rootOf[s.name] = r.service
		w.meshServices = append(w.meshServices, r.service)
	}
}

func (w *walk) resolveWorkloads() {
	reach := w.reach.get(struct{}{}, reachInputs{callers: w.resolveCallers()}, buildReach)
	inputs := map[string]*workloadInputs{}
	for _, p := range w.podList {
		if !p.meshed {
			continue
		}
		c := w.classes.get(p.name, classInputs{pod: p, ports: w.portsOf[p]}, buildClass)
		in := inputs[c.id]
		if in == nil {
			in = &workloadInputs{class: c, policy: w.policyOf[c.account]}
			in.reaches = reach.of(mesh.PrincipalOf(w.config.TrustDomain, c.account))
			inputs[c.id] = in
		}
		in.pods = append(in.pods, p)
	}
	w.meshWorkloads = make([]*mesh.Workload, 0, len(inputs))
	for id, in := range inputs {
		w.meshWorkloads = append(w.meshWorkloads, w.workloads.get(id, *in, buildWorkload))
	}
	slices.SortFunc(w.meshWorkloads, func(a, b *mesh.Workload) int { return cmp.Compare(a.ID, b.ID) })
}

func (w *walk) resolveCallers() []*callers {
	all := make([]*callers, 0, len(w.meshServices))
	for _, s := range w.meshServices {
		for _, p := range s.Ports {
			if p.Protocol == mesh.UDP {
				continue
			}
			in := callersInputs{port: p, ports: []*mesh.ServicePort{p}}
			for _, split := range p.Splits {
				for _, b := range split.Backends {
					in.ports = append(in.ports, w.rootOf[b.Service].Port(b.Port))
				}
			}
			for _, port := range in.ports {
				for _, d := range port.Destinations {
					in.policies = append(in.policies, w.policyOf[d.Account])
				}
			}
			all = append(all, w.callers.get(portKey{s.Name, p.Number}, in, buildCallers))
		}
	}
	return all
}
