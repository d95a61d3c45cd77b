package compile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/mesh"
)

// resolvedSplit is a TrafficSplit whose references were looked up, before
// anything is known of the other splits of its root.
type resolvedSplit struct {
	object *split.TrafficSplit
	name   mesh.Name
	// refused splits have no effect on any port.
	refused bool
	// conditional tells that the split has matches, even where none of them
	// resolves (TS-6).
	conditional bool
	matches     []*mesh.Match
	backends    []weightedBackend
	// skipEmpty lets the others share the weight of a backend without ready
	// endpoints (TS-5).
	skipEmpty bool
	findings  []mesh.Finding
}

type weightedBackend struct {
	service *service // nil where it does not exist
	field   string
	name    string
	weight  uint32
}

type splitInputs struct {
	object        *split.TrafficSplit
	clusterDomain string
	root          *service
	backends      []*service
	groups        []*routeGroup
}

func (i splitInputs) equal(o splitInputs) bool {
	return i.object == o.object && i.clusterDomain == o.clusterDomain && i.root == o.root &&
		slices.Equal(i.backends, o.backends) && slices.Equal(i.groups, o.groups)
}

// serviceName reads the forms that TS-1 allows for a Service of the namespace:
// name, name.namespace, name.namespace.svc and the cluster's full name.
func serviceName(written, namespace, clusterDomain string) (mesh.Name, bool) {
	name, rest, _ := strings.Cut(written, ".")
	if strings.HasSuffix(written, ".") {
		return mesh.Name{}, false
	}
	switch rest {
	case "", namespace, namespace + ".svc", namespace + ".svc." + clusterDomain:
		return mesh.Name{Namespace: namespace, Name: name}, name != ""
	default:
		return mesh.Name{}, false
	}
}

func buildSplit(in splitInputs) *resolvedSplit {
	o := in.object
	r := reportOn(kindTrafficSplit, o)
	s := &resolvedSplit{
		object:      o,
		name:        mesh.Name{Namespace: o.Namespace, Name: o.Name},
		conditional: len(o.Spec.Matches) > 0,
		skipEmpty:   o.Annotations[annotationEmptyBacken] == "skip",
	}
	s.refused = !rootUsable(r, in)
	s.matches = splitMatches(r, in)
	for i, b := range o.Spec.Backends {
		field := fmt.Sprintf("spec.backends[%d]", i)
		if b.Weight < 0 || b.Weight > math.MaxInt32 {
			r.errorf(place{"TS-2", field + ".weight", "InvalidWeight"}, "%d is no weight (0 to %d); the split is not applied", b.Weight, math.MaxInt32)
			s.refused = true
			continue
		}
		if in.backends[i] == nil {
			reportMissingBackend(r, in, field, b.Service)
		}
		s.backends = append(s.backends, weightedBackend{service: in.backends[i], field: field, name: b.Service, weight: uint32(b.Weight)})
	}
	if len(o.Spec.Backends) == 0 {
		r.errorf(place{"TS-3", "spec.backends", "NoBackends"}, "has no backends; the root serves as if there were no split")
	}
	s.findings = r.findings
	return s
}

// nestedInputs are a split of a root, and for each of its backends the split
// that the backend is itself a root of, nil where there is none. All nil is no
// list.
type nestedInputs struct {
	root   mesh.Name
	split  *resolvedSplit
	nested []*resolvedSplit
}

func (i nestedInputs) equal(o nestedInputs) bool {
	return i.split == o.split && i.root == o.root && slices.Equal(i.nested, o.nested)
}

// nestedSplits are those of the split's backends (TS-8).
func nestedSplits(root mesh.Name, s *resolvedSplit, byRoot map[mesh.Name][]*resolvedSplit) []*resolvedSplit {
	if s.refused {
		return nil
	}
	var nested []*resolvedSplit
	for n, b := range s.backends {
		if b.service == nil || b.weight == 0 || b.service.name == root {
			continue
		}
		own := byRoot[b.service.name]
		if i := slices.IndexFunc(own, func(o *resolvedSplit) bool { return !o.refused }); i >= 0 {
			if nested == nil {
				nested = make([]*resolvedSplit, len(s.backends))
			}
			nested[n] = own[i]
		}
	}
	return nested
}

// nested tells of backends that are roots of splits themselves.
type nested struct{ findings []mesh.Finding }

func reportNested(in nestedInputs) *nested {
	r := reportOn(kindTrafficSplit, in.split.object)
	for i, n := range in.nested {
		if b := in.split.backends[i]; n != nil {
			r.infof(place{"TS-8", b.field + ".service", "NotNested"}, "Service %s is split by TrafficSplit %s, which is not followed here: splits do not nest", b.name, n.name)
		}
	}
	return &nested{r.findings}
}

// rootUsable tells whether the root is a Service that can be split (TS-1).
func rootUsable(r *report, in splitInputs) bool {
	written := in.object.Spec.Service
	at := place{"TS-1", "spec.service", "InvalidRoot"}
	name, ok := serviceName(written, in.object.Namespace, in.clusterDomain)
	switch {
	case !ok:
		r.errorf(at, "%s is no Service of namespace %s; write its name, alone or as name.%s, name.%s.svc or name.%s.svc.%s; the split is not applied",
			quote(written), in.object.Namespace, in.object.Namespace, in.object.Namespace, in.object.Namespace, in.clusterDomain)
	case in.root == nil:
		at.reason = "UnknownRoot"
		r.errorf(at, "there is no Service %s; the split is not applied", name)
	case in.root.external:
		at.reason = "ExternalRoot"
		r.errorf(at, "Service %s is an ExternalName, whose traffic leaves the mesh unchanged; the split is not applied", name)
	case in.root.headless:
		at.reason = "HeadlessRoot"
		r.errorf(at, "Service %s is headless: clients choose its pods themselves; the split is not applied", name)
	default:
		return true
	}
	return false
}

// splitMatches are the matches of the groups that the split names (TS-6). It
// is never nil for a split that names any.
func splitMatches(r *report, in splitInputs) []*mesh.Match {
	if len(in.object.Spec.Matches) == 0 {
		return nil
	}
	matches := []*mesh.Match{}
	for i, ref := range in.object.Spec.Matches {
		at := place{"TS-6", fmt.Sprintf("spec.matches[%d]", i), "UnknownRoute"}
		switch {
		case in.groups[i] != nil:
			matches = append(matches, in.groups[i].matches...)
		case ref.Kind != kindHTTPRouteGroup:
			at.reason = "UnknownKind"
			r.errorf(at, "%s is no HTTPRouteGroup; it matches nothing", quote(ref.Kind))
		default:
			r.errorf(at, "there is no HTTPRouteGroup %s in namespace %s; it matches nothing", quote(ref.Name), in.object.Namespace)
		}
	}
	return uniqueMatches(matches)
}

func reportMissingBackend(r *report, in splitInputs, field, written string) {
	if _, ok := serviceName(written, in.object.Namespace, in.clusterDomain); !ok {
		r.warnf(place{"TS-4", field + ".service", "ForeignBackend"}, "%s is no Service of namespace %s; it is left out and the others share its weight", quote(written), in.object.Namespace)
		return
	}
	r.warnf(place{"TS-4", field + ".service", "UnknownBackend"}, "there is no Service %s in namespace %s; it is left out and the others share its weight", quote(written), in.object.Namespace)
}

// compareSplits orders the splits of one root (TS-7): those with matches first,
// the oldest first, ties by namespace and name. One without a timestamp cannot
// show its age and comes after those that can.
func compareSplits(a, b *resolvedSplit) int {
	return cmp.Or(
		compareBool(b.conditional, a.conditional),
		compareBool(a.object.CreationTimestamp.IsZero(), b.object.CreationTimestamp.IsZero()),
		a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time),
		a.name.Compare(b.name),
	)
}

// portSplits are the splits that apply to one port of their root, in order,
// and what is to be said of those that do not.
func portSplits(port *servicePort, ordered []*resolvedSplit) ([]*mesh.Split, []mesh.Finding) {
	var (
		applied  []*mesh.Split
		findings []mesh.Finding
	)
	for _, s := range ordered {
		r := reportOn(kindTrafficSplit, s.object)
		switch {
		case s.conditional && port.protocol == mesh.TCP:
			r.warnf(place{"TS-9", "spec.matches", "NotHTTP"}, "port %d speaks TCP, where requests cannot be told apart; a split with matches is not applied there", port.number)
		case s.conditional && len(s.matches) == 0:
		default:
			if m := splitOn(r, s, port); m != nil {
				applied = append(applied, m)
			}
		}
		findings = append(findings, r.findings...)
	}
	return applied, findings
}

// splitOn is the split on one port, nil where no usable backend has a weight.
func splitOn(r *report, s *resolvedSplit, port *servicePort) *mesh.Split {
	m := &mesh.Split{Name: s.name, Matches: s.matches}
	for _, b := range s.backends {
		if b.service == nil {
			continue
		}
		p := b.service.port(port.number)
		switch {
		case p == nil:
			r.warnf(place{"TS-4", b.field + ".service", "NoSuchPort"}, "Service %s has no port %d; it is left out there and the others share its weight", b.name, port.number)
		case b.weight == 0: // TS-3
		case s.skipEmpty && !p.ready():
			r.warnf(place{"TS-5", b.field + ".service", "EmptyBackend"}, "Service %s has no ready endpoint; the others share its weight", b.name)
		default:
			m.Backends = append(m.Backends, mesh.Backend{Service: b.service.name, Port: port.number, Weight: b.weight})
		}
	}
	if len(m.Backends) == 0 {
		r.errorf(place{"TS-3", "spec.backends", "NoWeight"}, "the weights of all usable backends for port %d sum to 0; the split is not applied there", port.number)
		return nil
	}
	return m
}

// orderSplits orders the splits of one root and drops those that have no
// effect: the refused ones, and every split without matches but the oldest.
func orderSplits(all []*resolvedSplit) (ordered []*resolvedSplit, findings []mesh.Finding) {
	sorted := slices.SortedFunc(slices.Values(all), compareSplits)
	var winner *resolvedSplit
	for _, s := range sorted {
		switch {
		case s.refused:
		case s.conditional || winner == nil:
			ordered = append(ordered, s)
			if !s.conditional {
				winner = s
			}
		default:
			r := reportOn(kindTrafficSplit, s.object)
			r.errorf(place{"TS-7", "spec.service", "Conflicted"}, "TrafficSplit %s splits the same Service and comes before this one, by age or by name; this one is not applied: delete one of them, or give this one matches", winner.name)
			findings = append(findings, r.findings...)
		}
	}
	return ordered, append(findings, shadowedSplits(ordered)...)
}

// shadowedSplits warns of splits all of whose matches an older one takes.
func shadowedSplits(ordered []*resolvedSplit) []mesh.Finding {
	var findings []mesh.Finding
	taken := map[*mesh.Match]*resolvedSplit{}
	for _, s := range ordered {
		if !s.conditional || len(s.matches) == 0 {
			continue
		}
		var by *resolvedSplit
		shadowed := true
		for _, m := range s.matches {
			if taken[m] == nil {
				taken[m], shadowed = s, false
			} else {
				by = taken[m]
			}
		}
		if shadowed {
			r := reportOn(kindTrafficSplit, s.object)
			r.warnf(place{"TS-7", "spec.matches", "Unreachable"}, "TrafficSplit %s comes before this one, by age or by name, and takes every request that this one matches", by.name)
			findings = append(findings, r.findings...)
		}
	}
	return findings
}
