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
	all      []*service
	byName   map[mesh.Name]*service
	ports    map[*pod]*podPorts
	findings []mesh.Finding
}

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
	out := &serviceSet{
		all: make([]*service, 0, len(objects)), byName: make(map[mesh.Name]*service, len(objects)),
		ports: make(map[*pod]*podPorts, len(in.pods.all)),
	}
	servicesOf := make(map[*pod][]*service, len(in.pods.all))
	for _, o := range objects {
		name := mesh.Name{Namespace: o.Namespace, Name: o.Name}
		inputs := serviceInputs{object: o}
		switch {
		case o.Spec.Type == corev1.ServiceTypeExternalName:
		case len(o.Spec.Selector) > 0:
			inputs.pods = in.pods.selected(o.Namespace, o.Spec.Selector)
		default:
			inputs.slices = endpointSlices[name]
		}
		s := c.services.get(name, inputs, buildService)
		out.all = append(out.all, s)
		out.byName[name] = s
		out.findings = append(out.findings, s.findings...)
		for _, p := range s.pods {
			servicesOf[p] = append(servicesOf[p], s)
		}
	}
	for _, p := range in.pods.all {
		out.ports[p] = c.podPorts.get(p.name, podPortsInputs{pod: p, services: servicesOf[p]}, buildPodPorts)
	}
	c.services.end()
	c.podPorts.end()
	return out
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
	out := &splitSet{byRoot: make(map[mesh.Name][]*resolvedSplit, in.splits.Len())}
	for _, o := range in.splits.All() {
		inputs := splitInputs{object: o, clusterDomain: c.config.ClusterDomain}
		rootName, _ := serviceName(o.Spec.Service, o.Namespace, c.config.ClusterDomain)
		inputs.root = in.services.byName[rootName]
		inputs.backends = make([]*service, len(o.Spec.Backends))
		for i, b := range o.Spec.Backends {
			if name, ok := serviceName(b.Service, o.Namespace, c.config.ClusterDomain); ok {
				inputs.backends[i] = in.services.byName[name]
			}
		}
		inputs.groups = make([]*routeGroup, len(o.Spec.Matches))
		for i, m := range o.Spec.Matches {
			if m.Kind == kindHTTPRouteGroup && (m.APIGroup == nil || *m.APIGroup == "" || *m.APIGroup == "specs.smi-spec.io") {
				inputs.groups[i] = in.routes.groups[mesh.Name{Namespace: o.Namespace, Name: m.Name}]
			}
		}
		s := c.splits.get(mesh.Name{Namespace: o.Namespace, Name: o.Name}, inputs, buildSplit)
		out.byRoot[rootName] = append(out.byRoot[rootName], s)
		out.findings = append(out.findings, s.findings...)
	}
	for root, splits := range out.byRoot {
		for _, s := range splits {
			out.findings = append(out.findings, nestedSplits(root, s, out.byRoot)...)
		}
	}
	c.splits.end()
	return out
}

// rootSet are the Services as the mesh sees them, in order of their names.
type rootSet struct {
	services []*mesh.Service
	byName   map[mesh.Name]*mesh.Service
	findings []mesh.Finding
}

type rootStageInputs struct {
	services *serviceSet
	splits   *splitSet
}

func (c *Compiler) resolveRoots(in rootStageInputs) *rootSet {
	c.roots.begin()
	out := &rootSet{services: make([]*mesh.Service, 0, len(in.services.all)), byName: make(map[mesh.Name]*mesh.Service, len(in.services.all))}
	for _, s := range in.services.all {
		splits := in.splits.byRoot[s.name]
		r, ok := c.roots.kept(s.name, func(last rootInputs) bool {
			return last.from == in.services && slices.Equal(last.splits, splits)
		})
		if !ok {
			inputs := rootInputs{from: in.services, service: s, splits: splits, ports: make([]*podPorts, len(s.pods))}
			for i, p := range s.pods {
				inputs.ports[i] = in.services.ports[p]
			}
			r = c.roots.get(s.name, inputs, buildRoot)
		}
		out.findings = append(out.findings, r.findings...)
		if s.external {
			continue
		}
		out.byName[s.name] = r.service
		out.services = append(out.services, r.service)
	}
	c.roots.end()
	return out
}
