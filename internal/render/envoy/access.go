package envoy

import (
	"cmp"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/mesh"
)

// accessInputs are what the rules of a port that speaks HTTP depend on.
type accessInputs struct {
	granted *portGrants
	port    mesh.InboundPort
	mode    mesh.Mode
}

// accessName is the name of the rules of all sources of a port.
func accessName(port uint16) string { return name("access", port) }

// chainAccessName is the name of the rules of the sources of one filter chain.
func chainAccessName(port uint16, label string) string { return accessName(port) + "|" + label }

// buildAccess renders what everybody may send to a port: for the filter chains
// that are no source's own. A connection that is older than its source's first
// grant stays in one of those.
func buildAccess(_ *parts, in accessInputs) *Resource {
	w := newRulesWriter(in.mode, 1)
	var plaintext *rule
	if in.port.Plaintext {
		plaintext = newRule(encode(allowPlaintext))
	}
	w.add(accessName(in.port.Number), plaintext, in.granted.rules, in.granted.sources)
	return w.resources()[0]
}

// chainAccessInputs are what the rules of a port's chains depend on.
type chainAccessInputs struct {
	accessInputs
	// spread tells who is in which chain.
	spread *spread
}

// buildChainAccess renders, for each filter chain of the port that sources
// have, what these may send. Envoy keeps a copy of the rules in each chain that
// names them, so that rules of all sources in all chains would grow with the
// square of the sources.
func buildChainAccess(_ *parts, in chainAccessInputs) []*Resource {
	w := newRulesWriter(in.mode, len(in.spread.chains))
	for _, c := range in.spread.chains {
		w.add(chainAccessName(in.port.Number, c.label), nil, in.granted.rules, c.sources)
	}
	out := w.resources()
	for _, r := range out {
		r.Spare = !in.port.Protocol.SpeaksHTTP() // see appendRules
	}
	return out
}

// portGrants are the sources that are granted anything at a port.
type portGrants struct {
	// sources are sorted by principal.
	sources []grantedSource
	// rules are what sets of grants allow, nil for a port that speaks TCP.
	rules []*rule
}

type grantedSource struct {
	principal mesh.Principal
	// serverName is what the source sends.
	serverName string
	// set is the place of what it may do among the rules.
	set int
}

type portGrantsInputs struct {
	policy *mesh.Policy
	port   uint16
	tcp    bool
}

func buildPortGrants(_ *parts, in portGrantsInputs) *portGrants {
	out := &portGrants{}
	if in.policy == nil {
		return out
	}
	sets, setOf := grantSets(in)
	out.sources = make([]grantedSource, 0, len(setOf))
	for source, set := range setOf {
		out.sources = append(out.sources, grantedSource{source, SourceName(source), set})
	}
	slices.SortFunc(out.sources, func(a, b grantedSource) int { return cmp.Compare(a.principal, b.principal) })
	if in.tcp {
		return out
	}
	// Most sources of a port have the same grants as some other.
	out.rules = make([]*rule, len(sets))
	known := map[*mesh.Grant]*grantRules{}
	for _, source := range out.sources {
		if out.rules[source.set] != nil {
			continue
		}
		var grants []*mesh.Grant
		for i := source.set; i != 0; i = sets[i].rest {
			grants = append(grants, sets[i].last)
		}
		out.rules[source.set] = newRule(sourceRules(grants, known))
	}
	return out
}

// grantSet is a set of grants: one, and those of the set at another place.
type grantSet struct {
	rest int
	last *mesh.Grant
}

// grantSets tells which grants each source has at a port, as a place in a list
// of sets. The first set is the empty one.
func grantSets(in portGrantsInputs) ([]grantSet, map[mesh.Principal]int) {
	sets, places, setOf := []grantSet{{}}, map[grantSet]int{}, map[mesh.Principal]int{}
	for _, g := range in.policy.Grants {
		if !g.Covers(in.port) || in.tcp && !g.Connections {
			continue
		}
		for _, s := range g.Sources {
			with := grantSet{setOf[s], g}
			place, ok := places[with]
			if !ok {
				place = len(sets)
				sets, places[with] = append(sets, with), place
			}
			setOf[s] = place
		}
	}
	return sets, setOf
}

// grantRules is a grant in Envoy's terms, the same for each of its sources.
type grantRules struct {
	// allow is an encoded OnMatch.
	allow []byte
	// every tells that the grant allows every request.
	every bool
	// conditions are encoded Predicates.
	conditions [][]byte
}

// sourceRules is the union of a source's grants (AC-3), as an encoded OnMatch.
func sourceRules(grants []*mesh.Grant, known map[*mesh.Grant]*grantRules) []byte {
	slices.SortFunc(grants, func(a, b *mesh.Grant) int { return a.Target.Compare(b.Target) })
	var list []byte
	for _, g := range grants {
		r := known[g]
		if r == nil {
			r = newGrantRules(g)
			known[g] = r
		}
		if r.every {
			return r.allow
		}
		for _, c := range r.conditions {
			list = appendHead(list, fieldMatchers, fieldSize(fieldPredicate, len(c))+fieldSize(fieldOnMatch, len(r.allow)))
			list = appendField(list, fieldPredicate, c)
			list = appendField(list, fieldOnMatch, r.allow)
		}
	}
	if len(list) == 0 {
		return encodedDeny
	}
	out := appendHead(nil, fieldOnMatchMatcher, len(denyAll)+fieldSize(fieldMatcherList, len(list)))
	return appendField(append(out, denyAll...), fieldMatcherList, list)
}

func newGrantRules(g *mesh.Grant) *grantRules {
	r := &grantRules{allow: filled(allowTemplate, g.Target.String()), every: g.Connections}
	for _, m := range g.Matches {
		conditions, ok := matchConditions(m)
		switch {
		case !ok:
		case len(conditions) == 0:
			r.every = true
		default:
			r.conditions = append(r.conditions, oneOrList(fieldAndMatcher, conditions))
		}
	}
	return r
}

// matchConditions are all that must hold (SP-5), as encoded Predicates; none
// means every request. It returns false for a match that Envoy could not be
// told, which then grants nothing.
func matchConditions(m *mesh.Match) ([][]byte, bool) {
	var all [][]byte
	if m.Path != "" {
		all = append(all, filled(pathTemplate, pathExpression(m.Path)))
	}
	if len(m.Methods) > 0 {
		methods := make([][]byte, len(m.Methods))
		for i, method := range m.Methods {
			methods[i] = filled(methodTemplate, method)
		}
		all = append(all, oneOrList(fieldOrMatcher, methods))
	}
	for _, h := range m.Headers {
		header, value, ok := headerCondition(h)
		if !ok {
			return nil, false
		}
		all = append(all, filled(headerTemplate, header, value))
	}
	return all, true
}

// oneOrList is a Predicate of several in that field, or the only one.
func oneOrList(field protowire.Number, predicates [][]byte) []byte {
	if len(predicates) == 1 {
		return predicates[0]
	}
	size := 0
	for _, p := range predicates {
		size += fieldSize(fieldPredicates, len(p))
	}
	b := appendHead(make([]byte, 0, fieldSize(field, size)), field, size)
	for _, p := range predicates {
		b = appendField(b, fieldPredicates, p)
	}
	return b
}

// headerCondition is the header and the expression that Envoy is told for a
// header match (SP-3).
func headerCondition(h mesh.HeaderMatch) (header, expr string, ok bool) {
	if h.Name != "host" {
		return h.Name, valueExpression(h.Value), true
	}
	expr, ok = hostExpression(h.Value)
	return ":authority", expr, ok
}

func condition(input *xdscorev3.TypedExtensionConfig, value *xdsmatcherv3.StringMatcher) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{
		MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
			SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
				Input:   input,
				Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: value},
			},
		},
	}
}

func regexValue(expr string) *xdsmatcherv3.StringMatcher {
	return &xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_SafeRegex{SafeRegex: &xdsmatcherv3.RegexMatcher{
		EngineType: &xdsmatcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &xdsmatcherv3.RegexMatcher_GoogleRE2{}},
		Regex:      expr,
	}}}
}

func exactValue(s string) *xdsmatcherv3.StringMatcher {
	return &xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: s}}
}

// Inputs and actions that every rule shares.
var (
	keyInput       = stateInput(stateKey)
	deny           = accessAction(Denied, rbacconfigv3.RBAC_DENY)
	allowPlaintext = accessAction(Plaintext, rbacconfigv3.RBAC_ALLOW)
	encodedDeny    = encode(deny)

	// Templates of an OnMatch for the name of a TrafficTarget, and of Predicates
	// for an expression, a method, and a header and an expression.
	allowTemplate  = newTemplate(accessAction(hole(1), rbacconfigv3.RBAC_ALLOW))
	pathTemplate   = newTemplate(condition(stateInput(statePath), regexValue(hole(1))))
	methodTemplate = newTemplate(condition(headerInput("method", ":method"), exactValue(hole(1))))
	headerTemplate = newTemplate(condition(headerInput("header", hole(1)), regexValue(hole(2))))

	// denyAll is a Matcher that matches nothing, byKey a MatcherTree without rules,
	// both encoded.
	denyAll = encode(&xdsmatcherv3.Matcher{OnNoMatch: deny})
	byKey   = encode(&xdsmatcherv3.Matcher_MatcherTree{Input: keyInput})
)

func stateInput(key string) *xdscorev3.TypedExtensionConfig {
	return xdsTyped("state", &networkinputv3.FilterStateInput{Key: key})
}

func headerInput(name, header string) *xdscorev3.TypedExtensionConfig {
	return xdsTyped(name, &matcherv3.HttpRequestHeaderMatchInput{HeaderName: header})
}

func accessAction(name string, action rbacconfigv3.RBAC_Action) *xdsmatcherv3.Matcher_OnMatch {
	return onMatch(xdsTyped("action", &rbacconfigv3.Action{Name: name, Action: action}))
}

func onMatch(action *xdscorev3.TypedExtensionConfig) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{Action: action}}
}

func exactMap(input *xdscorev3.TypedExtensionConfig, entries map[string]*xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher_MatcherTree_ {
	return &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
		Input: input,
		TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{
			ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: entries},
		},
	}}
}

func xdsTyped(name string, message proto.Message) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: typed(message)}
}
