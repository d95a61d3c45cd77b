package compile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/mesh"
)

// The kinds that TrafficTargets and TrafficSplits refer to.
const (
	kindHTTPRouteGroup = "HTTPRouteGroup"
	kindTCPRoute       = "TCPRoute"
	kindUDPRoute       = "UDPRoute"
	kindTrafficTarget  = "TrafficTarget"
	kindTrafficSplit   = "TrafficSplit"
	kindBinding        = "IdentityBinding"
	kindServiceAccount = "ServiceAccount"
	kindService        = "Service"
	kindPod            = "Pod"
	kindNamespace      = "Namespace"
)

// routeGroup is an HTTPRouteGroup with its expressions checked.
type routeGroup struct {
	// matches are those that can match something, in order.
	matches []*mesh.Match
	// names are those of all matches, the rejected ones included.
	names    map[string]bool
	findings []mesh.Finding
}

// named returns the usable matches of that name, and whether the group has any
// match of that name at all.
func (g *routeGroup) named(name string) ([]*mesh.Match, bool) {
	var found []*mesh.Match
	for _, m := range g.matches {
		if m.Name == name {
			found = append(found, m)
		}
	}
	return found, g.names[name]
}

type routeGroupInputs struct {
	object *specs.HTTPRouteGroup
}

func (i routeGroupInputs) equal(o routeGroupInputs) bool { return i == o }

// maxMatches bounds one HTTPRouteGroup: a proxy evaluates them one by one.
const maxMatches = 1000

func buildRouteGroup(in routeGroupInputs) *routeGroup {
	r := reportOn(kindHTTPRouteGroup, in.object)
	g := &routeGroup{names: map[string]bool{}}
	written := in.object.Spec.Matches
	if len(written) > maxMatches {
		r.errorf(place{"SP-5", "spec.matches", "TooManyMatches"},
			"has %d matches; only the first %d have effect: split the group into several", len(written), maxMatches)
		written = written[:maxMatches]
	}
	if len(written) == 0 {
		r.warnf(place{"SP-5", "spec.matches", "NoMatches"}, "has no matches, so a rule or a split that names the group matches nothing")
	}
	group := mesh.Name{Namespace: in.object.Namespace, Name: in.object.Name}
	for i := range written {
		field := fmt.Sprintf("spec.matches[%d]", i)
		if name := written[i].Name; g.names[name] {
			r.warnf(place{"AC-6", field + ".name", "DuplicateName"}, "the name %s is used twice; a rule that names it allows both matches", quote(name))
		}
		g.names[written[i].Name] = true
		if m := buildMatch(r, field, &written[i]); m != nil {
			m.Group = group
			g.matches = append(g.matches, m)
		}
	}
	reportRedundant(r, g.matches)
	g.findings = r.findings
	return g
}

// buildMatch returns nil for a match that can match nothing.
func buildMatch(r *report, field string, written *specs.HTTPMatch) *mesh.Match {
	m := &mesh.Match{Name: written.Name}
	ok := true
	if written.PathRegex != "" {
		if err := checkExpression(written.PathRegex); err != nil {
			r.errorf(place{"SP-1", field + ".pathRegex", "InvalidExpression"}, "the expression %s %v; the match grants nothing", quote(written.PathRegex), err)
			ok = false
		} else {
			reportAnchoring(r, field, written.PathRegex)
		}
		m.Path = written.PathRegex
	}
	m.Methods = buildMethods(r, field, written.Methods)
	if err := written.Headers.Validate(); err != nil {
		r.errorf(place{"SP-6", field + ".headers", "InvalidHeaders"}, "the %v; the match grants nothing", err)
		return nil
	}
	for _, h := range written.Headers.Entries() {
		if err := checkExpression(h.Value); err != nil {
			where := fmt.Sprintf("%s.headers[%s]", field, h.Name)
			r.errorf(place{"SP-1", where, "InvalidExpression"}, "the expression %s %v; the match grants nothing", quote(h.Value), err)
			ok = false
		}
		m.Headers = append(m.Headers, mesh.HeaderMatch{Name: strings.ToLower(h.Name), Value: h.Value})
	}
	slices.SortStableFunc(m.Headers, func(a, b mesh.HeaderMatch) int { return strings.Compare(a.Name, b.Name) })
	if !ok {
		return nil
	}
	return m
}

func buildMethods(r *report, field string, written []string) []string {
	if len(written) == 0 || slices.Contains(written, "*") {
		return nil // SP-4
	}
	for _, method := range written {
		if method != strings.ToUpper(method) {
			r.warnf(place{"SP-4", field + ".methods", "MethodCase"}, "methods are case-sensitive: %s matches no usual request, did you mean %s?", quote(method), strings.ToUpper(method))
		}
	}
	methods := slices.Clone(written)
	slices.Sort(methods)
	return slices.Compact(methods)
}

// literalPath is an expression that reads like a plain path.
var literalPath = regexp.MustCompile(`^/[\w./~-]*[\w~-]$`)

// reportAnchoring warns where an author probably meant one exact path (SP-2).
func reportAnchoring(r *report, field, expr string) {
	switch {
	case !literalPath.MatchString(expr):
	case len(expr) > maxQuoted:
		r.warnf(place{"SP-2", field + ".pathRegex", "NotAnchored"},
			"also matches longer paths, because expressions are anchored at the beginning only; for this path alone end it with $")
	default:
		r.warnf(place{"SP-2", field + ".pathRegex", "NotAnchored"},
			"also matches %s/x and %sx, because expressions are anchored at the beginning only; for this path alone write %s", expr, expr, expr+"$")
	}
}

// reportRedundant warns of matches that an earlier one of the group repeats or
// includes. Matches are alternatives, so they change nothing.
func reportRedundant(r *report, matches []*mesh.Match) {
	seen := map[string]*mesh.Match{}
	var everything *mesh.Match
	for _, m := range matches {
		key := matchKey(m)
		first, repeated := seen[key]
		switch {
		case repeated:
			r.warnf(place{"SP-5", "spec.matches", "DuplicateMatch"}, "match %s repeats the conditions of match %s", quote(m.Name), quote(first.Name))
		case everything != nil:
			r.warnf(place{"SP-5", "spec.matches", "UnreachableMatch"}, "match %s adds nothing: match %s has no condition and matches every request", quote(m.Name), quote(everything.Name))
		}
		if !repeated {
			seen[key] = m
		}
		if everything == nil && m.Path == "" && m.Methods == nil && m.Headers == nil {
			everything = m
		}
	}
}

// matchKey is equal for matches with equal conditions.
func matchKey(m *mesh.Match) string {
	return fmt.Sprintf("%q %q %q", m.Methods, m.Path, m.Headers)
}

// portRoute is a TCPRoute.
type portRoute struct {
	// match is the name of its match, often empty.
	match string
	// ports are sorted; nil means every port (SP-7).
	ports    []uint16
	findings []mesh.Finding
}

type portRouteInputs struct {
	object *specs.TCPRoute
}

func (i portRouteInputs) equal(o portRouteInputs) bool { return i == o }

func buildPortRoute(in portRouteInputs) *portRoute {
	r := reportOn(kindTCPRoute, in.object)
	written := in.object.Spec.Matches.Ports
	route := &portRoute{match: in.object.Spec.Matches.Name}
	if len(written) > 0 {
		// A list of which nothing remains must not turn into "every port".
		route.ports = []uint16{}
	}
	for i, p := range written {
		if p < 1 || p > 65535 {
			r.errorf(place{"SP-7", fmt.Sprintf("spec.matches.ports[%d]", i), "InvalidPort"}, "%d is no port; it is left out", p)
			continue
		}
		route.ports = append(route.ports, uint16(p))
	}
	slices.Sort(route.ports)
	route.ports = slices.Compact(route.ports)
	route.findings = r.findings
	return route
}

// ruleField is the path of a rule of a TrafficTarget.
func ruleField(i int) string { return fmt.Sprintf("spec.rules[%d]", i) }

// maxQuoted is how much of what a user wrote stands in a message.
const maxQuoted = 80

// quote shortens what a user wrote to what fits a message.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q...", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}

// quoteAll quotes several names.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, " or ")
}
