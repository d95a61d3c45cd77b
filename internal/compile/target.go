package compile

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/mesh"
)

// grants is what one TrafficTarget contributes: one grant at each of its
// destination accounts.
type grants struct {
	grant        *mesh.Grant // nil where the target grants nothing
	destinations []mesh.Account
	findings     []mesh.Finding
}

// same is true for most changes of what the destination serves.
func (g *grants) same(o *grants) bool { return reflect.DeepEqual(g, o) }

type targetInputs struct {
	object      *access.TrafficTarget
	trustDomain string
	// context is where the references below were looked up. It tells at once that
	// they are what they were, and nothing reads it to build a grant.
	context targetContext
	// destination and sources are what the subjects name, in their order; a
	// subject that is a plain ServiceAccount has a nil binding.
	destination subject
	sources     []subject
	// rules are what the rules name, in their order.
	rules []rule
	// account is where the destination's pods run, nil where there are none. The
	// place is where it was found.
	accountName mesh.Account
	account     *account
	place       int
}

// subject is what a destination or a source refers to.
type subject struct {
	binding *binding
	// known tells whether a ServiceAccount exists or any pod runs as it.
	known bool
}

// rule is what a rule refers to; both nil where the object does not exist.
type rule struct {
	group *routeGroup
	ports *portRoute
	// exists is for kinds that have no meaning yet (UDPRoute).
	exists bool
}

func (i targetInputs) equal(o targetInputs) bool {
	return i.object == o.object && i.trustDomain == o.trustDomain && i.destination == o.destination &&
		i.account == o.account && slices.Equal(i.sources, o.sources) && slices.Equal(i.rules, o.rules)
}

func buildTarget(in targetInputs) *grants {
	r := reportOn(kindTrafficTarget, in.object)
	g := &grants{}
	destinations := resolveDestination(r, in)
	sources := resolveSources(r, in)
	grant := resolveRules(r, in)
	g.findings = r.findings
	if len(destinations) == 0 || len(sources) == 0 || grant == nil {
		return g // AC-4
	}
	grant.Target = mesh.Name{Namespace: in.object.Namespace, Name: in.object.Name}
	grant.Sources = sources
	g.grant, g.destinations = grant, destinations
	reportUseless(r, in, grant)
	g.findings = r.findings
	return g
}

// resolveDestination returns the accounts that the target opens.
func resolveDestination(r *report, in targetInputs) []mesh.Account {
	d := in.object.Spec.Destination
	const field = "spec.destination"
	switch {
	case d.Kind == "" && d.Name == "":
		r.errorf(place{"AC-4", field, "NoDestination"}, "has no destination, so it grants nothing")
		return nil
	case d.Namespace != "" && d.Namespace != in.object.Namespace:
		r.errorf(place{"AC-5", field + ".namespace", "ForeignDestination"},
			"is in namespace %s, and only its owner may open it: create the TrafficTarget in %s; here it grants nothing", d.Namespace, d.Namespace)
		return nil
	}
	accounts := resolveSubject(r, in, field, d, in.destination)
	if len(accounts) > 0 && in.account == nil {
		r.warnf(place{"AC-13", field, "NoPods"}, "no pod runs as %s %s/%s, so there is nothing to open", d.Kind, in.object.Namespace, d.Name)
	}
	return accounts
}

// resolveSources returns the principals that the target lets in, sorted.
func resolveSources(r *report, in targetInputs) []mesh.Principal {
	if len(in.object.Spec.Sources) == 0 {
		r.errorf(place{"AC-4", "spec.sources", "NoSource"}, "has no source, so it grants nothing")
		return nil
	}
	set := map[mesh.Principal]bool{}
	for i, s := range in.object.Spec.Sources {
		reportUnknownAccount(r, i, s, in.sources[i])
		for _, a := range resolveSubject(r, in, fmt.Sprintf("spec.sources[%d]", i), s, in.sources[i]) {
			set[mesh.PrincipalOf(in.trustDomain, a)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// subjectGroups are the kinds of subjects and the groups that they may name.
var subjectGroups = map[string]string{kindServiceAccount: "core", kindBinding: "access.smi-spec.io"}

// resolveSubject returns the accounts that a subject stands for.
func resolveSubject(r *report, in targetInputs, field string, s access.IdentityBindingSubject, found subject) []mesh.Account {
	namespace := s.Namespace
	if namespace == "" {
		namespace = in.object.Namespace // AC-5
	}
	group, known := subjectGroups[s.Kind]
	switch {
	case !known:
		r.errorf(place{"ID-1", field + ".kind", "UnknownKind"}, "%s is no kind of identity (ServiceAccount, IdentityBinding); it stands for nobody", quote(s.Kind))
	case s.Group != "" && s.Group != group:
		r.errorf(place{"ID-1", field + ".group", "UnknownGroup"}, "there is no %s in the group %s; it stands for nobody: write %s, or leave the group out", s.Kind, quote(s.Group), group)
	case s.Name == "":
		r.errorf(place{"ID-1", field + ".name", "NoName"}, "has no name and stands for nobody")
	case s.Kind == kindServiceAccount:
		return []mesh.Account{{Namespace: namespace, Name: s.Name}}
	case found.binding != nil:
		return found.binding.accounts
	default:
		r.errorf(place{"ID-4", field, "UnknownBinding"}, "there is no IdentityBinding %s/%s; it stands for nobody", namespace, s.Name)
	}
	return nil
}

// reportUnknownAccount warns of a source that is an account of nobody.
func reportUnknownAccount(r *report, i int, s access.IdentityBindingSubject, found subject) {
	if s.Kind != kindServiceAccount || s.Name == "" || found.known {
		return
	}
	namespace := cmp.Or(s.Namespace, r.object.Namespace)
	r.warnf(place{"ID-1", fmt.Sprintf("spec.sources[%d]", i), "UnknownServiceAccount"}, "there is no ServiceAccount %s/%s and no pod runs as it", namespace, s.Name)
}

// resolveRules returns the grant that the rules make, without its sources, or
// nil where they allow nothing.
func resolveRules(r *report, in targetInputs) *mesh.Grant {
	if len(in.object.Spec.Rules) == 0 {
		r.errorf(place{"AC-4", "spec.rules", "NoRule"}, "has no rule, so it grants nothing")
		return nil
	}
	var (
		http, tcp bool // named, whether they resolve or not (AC-9)
		unknown   bool // may be a misspelt HTTPRouteGroup, so nothing opens as if it were not there
		matches   []*mesh.Match
		ports     portSet
	)
	for i, written := range in.object.Spec.Rules {
		switch written.Kind {
		case kindHTTPRouteGroup:
			http = true
			matches = append(matches, ruleMatches(r, i, written, in.rules[i].group)...)
		case kindTCPRoute:
			tcp = true
			ports.add(rulePorts(r, i, written, in.rules[i].ports))
		case kindUDPRoute:
			reportUDP(r, i, written, in.rules[i].exists)
		default:
			unknown = true
			r.errorf(place{"AC-7", ruleField(i) + ".kind", "UnknownKind"}, "%s is no kind of rule (HTTPRouteGroup, TCPRoute, UDPRoute); it contributes nothing, and TCPRoutes beside it only restrict", quote(written.Kind))
		}
	}
	switch {
	case http && len(matches) == 0:
		return nil
	case tcp && ports.empty():
		return nil
	case http:
		return &mesh.Grant{Ports: ports.within(tcp), Matches: uniqueMatches(matches)} // AC-9, AC-10
	case tcp && !unknown:
		return &mesh.Grant{Ports: ports.within(true), Connections: true} // AC-8
	default:
		return nil
	}
}

// uniqueMatches drops matches that several rules name.
func uniqueMatches(matches []*mesh.Match) []*mesh.Match {
	seen := make(map[*mesh.Match]bool, len(matches))
	unique := matches[:0]
	for _, m := range matches {
		if !seen[m] {
			seen[m] = true
			unique = append(unique, m)
		}
	}
	return unique
}

// ruleMatches are the matches that a rule allows (AC-6, AC-7).
func ruleMatches(r *report, i int, written access.TrafficTargetRule, group *routeGroup) []*mesh.Match {
	if group == nil {
		r.errorf(place{"AC-7", ruleField(i), "UnknownRoute"}, "there is no HTTPRouteGroup %s in namespace %s; the rule allows nothing", quote(written.Name), r.object.Namespace)
		return nil
	}
	if len(written.Matches) == 0 {
		return group.matches
	}
	var matches []*mesh.Match
	for j, name := range written.Matches {
		found, exists := group.named(name)
		if !exists {
			r.errorf(place{"AC-7", fmt.Sprintf("%s.matches[%d]", ruleField(i), j), "UnknownMatch"},
				"HTTPRouteGroup %s has no match %s%s; it allows nothing", written.Name, quote(name), suggestion(name, group.names))
		}
		matches = append(matches, found...)
	}
	return matches
}

// rulePorts is the TCPRoute that a rule means, nil where it means none.
func rulePorts(r *report, i int, written access.TrafficTargetRule, route *portRoute) *portRoute {
	switch {
	case route == nil:
		r.errorf(place{"AC-7", ruleField(i), "UnknownRoute"}, "there is no TCPRoute %s in namespace %s; the rule opens no port", quote(written.Name), r.object.Namespace)
	case len(written.Matches) > 0 && !slices.Contains(written.Matches, route.match):
		r.errorf(place{"AC-7", ruleField(i) + ".matches", "UnknownMatch"}, "TCPRoute %s has no match %s, its only one is named %s; the rule opens no port", written.Name, quoteAll(written.Matches), quote(route.match))
		return nil
	}
	return route
}

func reportUDP(r *report, i int, written access.TrafficTargetRule, exists bool) {
	if !exists {
		r.errorf(place{"AC-7", ruleField(i), "UnknownRoute"}, "there is no UDPRoute %s in namespace %s; the rule opens no port", quote(written.Name), r.object.Namespace)
		return
	}
	r.warnf(place{"AC-11", ruleField(i), "NotProgrammed"}, "UDP carries no certificate, so UDPRoute %s grants nothing yet", quote(written.Name))
}

// portSet is the union of the ports of several TCPRoutes.
type portSet struct {
	all   bool
	ports []uint16
}

func (s *portSet) add(route *portRoute) {
	switch {
	case route == nil:
	case route.ports == nil:
		s.all = true
	default:
		s.ports = append(s.ports, route.ports...)
	}
}

func (s *portSet) empty() bool { return !s.all && len(s.ports) == 0 }

// within returns the ports for a grant: nil for every port, which is also what
// applies where no TCPRoute restricts.
func (s *portSet) within(restricted bool) []uint16 {
	if s.all || !restricted {
		return nil
	}
	slices.Sort(s.ports)
	return slices.Compact(s.ports)
}

// reportUseless warns of a grant that no port of the destination can use.
func reportUseless(r *report, in targetInputs, grant *mesh.Grant) {
	if in.account == nil || len(in.account.ports) == 0 {
		return
	}
	for _, port := range grant.Ports {
		if _, served := in.account.ports[port]; served {
			continue
		}
		if pods, offered := in.account.servicePorts[port]; offered {
			r.warnf(place{"SP-7", "spec.rules", "ServicePort"}, "port %d is a port of a Service only; rules mean the pods' port, which is %d there", port, pods)
			continue
		}
		r.warnf(place{"SP-7", "spec.rules", "PortMismatch"}, "no pod of the destination serves port %d", port)
	}
	if !grant.Connections && !in.account.speaksHTTP() {
		r.warnf(place{"AC-10", "spec.rules", "NoHTTPPort"},
			"allows HTTP requests only, and every port of the destination is declared to speak something else: name the Service's port http, or use a TCPRoute alone")
	}
}

// suggestion is the nearest known name, fit to follow an unknown one.
func suggestion(name string, known map[string]bool) string {
	best, distance := "", 3
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance is the number of single-character edits between two short names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
