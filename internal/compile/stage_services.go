package compile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// serviceSet are all Services, in order of their names, and what they say of
// their pods' ports.
type serviceSet struct {
	directory[*service]
	pods *podSet
	// ports are those of the pods, in the same order.
	ports    []*podPorts
	findings []mesh.Finding
}

func (s *service) fullName() mesh.Name { return s.name }

// portsOf are the ports of a pod.
func (s *serviceSet) portsOf(p *pod) *podPorts { return s.ports[s.pods.place[p]] }

type serviceStageInputs struct {
	services *store.Table[*corev1.Service]
	slices   *store.Table[*discoveryv1.EndpointSlice]
	pods     *podSet
}

func (c *Compiler) resolveServices(in serviceStageInputs) *serviceSet {
	c.services.begin()
	c.podPorts.begin()
	objects := in.services.All()
	endpointSlices := slicesByService(in.slices)
	out := &serviceSet{pods: in.pods, ports: make([]*podPorts, len(in.pods.all))}
	all := make([]*service, len(objects))
	from := serviceContext{in.slices, in.pods}
	for i, o := range objects {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		s, ok := c.services.kept(name, func(last *serviceInputs) bool { return last.object == o && last.from == from })
		if !ok {
			inputs := serviceInputs{object: o, from: from}
			switch {
			case o.Spec.Type == corev1.ServiceTypeExternalName:
			case len(o.Spec.Selector) > 0:
				inputs.pods = in.pods.selected(o.Namespace, o.Spec.Selector)
			default:
				inputs.slices = endpointSlices[name]
				inputs.pods = in.pods.byAddress.inSlices(inputs.slices)
			}
			s = c.services.get(name, inputs, buildService)
		}
		all[i] = s
		out.findings = append(out.findings, s.findings...)
	}
	var last directory[*service]
	if c.serviceStage.out != nil {
		last = c.serviceStage.out.directory
	}
	out.directory = newDirectory(all, (*service).fullName, last)
	for i, services := range servicesOfPods(all, in.pods) {
		p := in.pods.all[i]
		out.ports[i] = c.podPorts.get(p.name, podPortsInputs{pod: p, services: services}, buildPodPorts)
	}
	c.services.end()
	c.podPorts.end()
	return out
}

// servicesOfPods are the Services that lead to each pod.
func servicesOfPods(all []*service, pods *podSet) [][]*service {
	counts, total := make([]int, len(pods.all)), 0
	for _, s := range all {
		for _, p := range s.pods {
			counts[pods.place[p]]++
			total++
		}
	}
	// One array holds the lists of all pods: most have one Service.
	room, of := make([]*service, total), make([][]*service, len(pods.all))
	for i, n := range counts {
		of[i], room = room[:0:n], room[n:]
	}
	for _, s := range all {
		for _, p := range s.pods {
			place := pods.place[p]
			of[place] = append(of[place], s)
		}
	}
	return of
}

func slicesByService(table *store.Table[*discoveryv1.EndpointSlice]) map[mesh.Name][]*discoveryv1.EndpointSlice {
	found := map[mesh.Name][]*discoveryv1.EndpointSlice{}
	for _, o := range table.All() {
		if service := o.Labels[discoveryv1.LabelServiceName]; service != "" {
			name := mesh.Name{Namespace: o.Namespace, Name: service}
			found[name] = append(found[name], o)
		}
	}
	return found
}

// splitSet are all TrafficSplits by their roots, in order of their names.
type splitSet struct {
	byRoot   map[mesh.Name][]*resolvedSplit
	findings []mesh.Finding
}

type splitStageInputs struct {
	splits   *store.Table[*split.TrafficSplit]
	services *serviceSet
	routes   *routes
}

func (c *Compiler) resolveSplits(in splitStageInputs) *splitSet {
	c.splits.begin()
	c.nested.begin()
	out := &splitSet{byRoot: make(map[mesh.Name][]*resolvedSplit, in.splits.Len())}
	resolved, roots := make([]*resolvedSplit, in.splits.Len()), make([]mesh.Name, in.splits.Len())
	for i, o := range in.splits.All() {
		inputs := splitInputs{object: o, clusterDomain: c.config.ClusterDomain}
		rootName, _ := serviceName(o.Spec.Service, o.Namespace, c.config.ClusterDomain)
		inputs.root = in.services.get(rootName)
		inputs.backends = make([]*service, len(o.Spec.Backends))
		for j, b := range o.Spec.Backends {
			if name, ok := serviceName(b.Service, o.Namespace, c.config.ClusterDomain); ok {
				inputs.backends[j] = in.services.get(name)
			}
		}
		inputs.groups = make([]*routeGroup, len(o.Spec.Matches))
		for j, m := range o.Spec.Matches {
			if m.Kind == kindHTTPRouteGroup && (m.APIGroup == nil || *m.APIGroup == "" || *m.APIGroup == "specs.smi-spec.io") {
				inputs.groups[j] = in.routes.groups[mesh.Name{Namespace: o.Namespace, Name: m.Name}]
			}
		}
		s := c.splits.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, inputs, buildSplit)
		out.byRoot[rootName] = append(out.byRoot[rootName], s)
		out.findings = append(out.findings, s.findings...)
		resolved[i], roots[i] = s, rootName
	}
	for i, s := range resolved {
		nested := c.nested.get(s.name, nestedInputs{roots[i], s, nestedSplits(roots[i], s, out.byRoot)}, reportNested)
		out.findings = append(out.findings, nested.findings...)
	}
	c.splits.end()
	c.nested.end()
	return out
}

// rootSet are the Services as the mesh sees them, in order of their names.
type rootSet struct {
	directory[*mesh.Service]
	findings []mesh.Finding
}

func nameOfService(s *mesh.Service) mesh.Name { return s.Name }

type rootStageInputs struct {
	services *serviceSet
	splits   *splitSet
}

func (c *Compiler) resolveRoots(in rootStageInputs) *rootSet {
	c.roots.begin()
	out, all := &rootSet{}, make([]*mesh.Service, 0, len(in.services.all))
	for _, s := range in.services.all {
		splits := in.splits.byRoot[s.name]
		r, ok := c.roots.kept(s.name, func(last *rootInputs) bool {
			return slices.Equal(last.splits, splits) && (last.from == in.services || last.service == s && in.portsHold(last))
		})
		if !ok {
			inputs := rootInputs{from: in.services, service: s, splits: splits, ports: make([]*podPorts, len(s.pods))}
			for i, p := range s.pods {
				inputs.ports[i] = in.services.portsOf(p)
			}
			r = c.roots.get(s.name, inputs, buildRoot)
		}
		out.findings = append(out.findings, r.findings...)
		if s.external {
			continue
		}
		all = append(all, r.service)
	}
	c.roots.end()
	var last directory[*mesh.Service]
	if c.rootStage.out != nil {
		last = c.rootStage.out.directory
	}
	out.directory = newDirectory(all, nameOfService, last)
	return out
}

// portsHold tells whether the ports of the Service's pods are the given ones.
func (in rootStageInputs) portsHold(last *rootInputs) bool {
	for i, p := range last.service.pods {
		if in.services.portsOf(p) != last.ports[i] {
			return false
		}
	}
	last.from = in.services
	return true
}
