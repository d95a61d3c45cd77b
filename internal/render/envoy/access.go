package envoy

import (
	"cmp"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/smi-project/smi/mesh"
)

// accessInputs are what the rules of an HTTP port depend on.
type accessInputs struct {
	policy *mesh.Policy
	port   mesh.InboundPort
	mode   mesh.Mode
}

func accessName(port uint16) string { return name("access", port) }

// Fields of the messages that rules are assembled from.
const (
	fieldTypedConfig   = 2 // of a TypedExtensionConfig
	fieldAnyValue      = 2 // of an Any
	fieldMatcher       = 4 // of RBAC
	fieldShadowMatcher = 5 // of RBAC
	fieldMatcherTree   = 2 // of a Matcher
	fieldExactMatchMap = 2 // of a MatcherTree
	fieldMap           = 1 // of a MatchMap
	fieldMapKey        = 1 // of an entry of a map
	fieldMapValue      = 2 // of an entry of a map
)

// buildAccess renders who may send what to a port, as the configuration of the
// RBAC filter. Its matcher form finds a source's grants in one look-up; what
// nothing allows is denied (AC-1), unless the mode enforces nothing (AC-16).
func buildAccess(_ *parts, in accessInputs) *Resource {
	var rbac piece
	switch in.mode {
	case mesh.Permissive:
		rbac = newPiece(&rbacv3.RBAC{})
	case mesh.Audit:
		rbac = wrap(fieldShadowMatcher, accessMatcher(in.policy, in.port))
	default:
		rbac = wrap(fieldMatcher, accessMatcher(in.policy, in.port))
	}
	name := accessName(in.port.Number)
	head := newPiece(&corev3.TypedExtensionConfig{Name: name, TypedConfig: &anypb.Any{TypeUrl: typeURL(&rbacv3.RBAC{})}})
	// Fields of the Any come in two parts, which Envoy joins.
	return join(head, wrap(fieldTypedConfig, wrap(fieldAnyValue, rbac))).resource(name, typeURL(&corev3.TypedExtensionConfig{}))
}

func accessMatcher(policy *mesh.Policy, port mesh.InboundPort) piece {
	entries := accessEntries(policy, port)
	if len(entries) == 0 {
		return denyAll
	}
	slices.SortFunc(entries, func(a, b accessEntry) int { return cmp.Compare(a.key, b.key) })
	size := 0
	for _, e := range entries {
		size += protowire.SizeTag(fieldMap) + protowire.SizeBytes(e.size())
	}
	// Rules are most of what is rendered, so they are put down in one go.
	list := make([]byte, 0, size)
	for _, e := range entries {
		list = protowire.AppendTag(list, fieldMap, protowire.BytesType)
		list = protowire.AppendVarint(list, uint64(e.size()))
		list = protowire.AppendString(protowire.AppendTag(list, fieldMapKey, protowire.BytesType), e.key)
		list = protowire.AppendBytes(protowire.AppendTag(list, fieldMapValue, protowire.BytesType), e.rule)
	}
	return join(denyAll, wrap(fieldMatcherTree, join(byKey, wrap(fieldExactMatchMap, newRaw(list)))))
}

// accessEntry is what a port's rules say of one key: an encoded OnMatch.
type accessEntry struct {
	key  string
	rule []byte
}

// size is that of the entry in the map of an ExactMatchMap, without its head.
func (e accessEntry) size() int {
	return protowire.SizeTag(fieldMapKey) + protowire.SizeBytes(len(e.key)) + protowire.SizeTag(fieldMapValue) + protowire.SizeBytes(len(e.rule))
}

func accessEntries(policy *mesh.Policy, port mesh.InboundPort) []accessEntry {
	var entries []accessEntry
	if port.Plaintext {
		entries = append(entries, accessEntry{keyPlaintext, encode(allowPlaintext)})
	}
	if policy == nil {
		return entries
	}
	sets, setOf := grantSets(policy, port.Number)
	// Most sources of a port have the same grants as some other.
	rules := make([][]byte, len(sets))
	known := map[*mesh.Grant]*grantRules{}
	for source, set := range setOf {
		if rules[set] == nil {
			var grants []*mesh.Grant
			for i := set; i != 0; i = sets[i].rest {
				grants = append(grants, sets[i].last)
			}
			rules[set] = encode(sourceRules(grants, known))
		}
		entries = append(entries, accessEntry{sourceKey(source), rules[set]})
	}
	return entries
}

// grantSet is a set of grants: one, and those of the set at another place.
type grantSet struct {
	rest int
	last *mesh.Grant
}

// grantSets tells which grants each source has at a port, as a place in a list
// of sets. The first set is the empty one.
func grantSets(policy *mesh.Policy, port uint16) ([]grantSet, map[mesh.Principal]int) {
	sets, places, setOf := []grantSet{{}}, map[grantSet]int{}, map[mesh.Principal]int{}
	for _, g := range policy.Grants {
		if !g.Covers(port) {
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
	allow *xdsmatcherv3.Matcher_OnMatch
	// every tells that the grant allows every request.
	every      bool
	conditions []*xdsmatcherv3.Matcher_MatcherList_Predicate
}

// sourceRules is the union of a source's grants (AC-3).
func sourceRules(grants []*mesh.Grant, known map[*mesh.Grant]*grantRules) *xdsmatcherv3.Matcher_OnMatch {
	slices.SortFunc(grants, func(a, b *mesh.Grant) int { return a.Target.Compare(b.Target) })
	var list []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher
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
			list = append(list, &xdsmatcherv3.Matcher_MatcherList_FieldMatcher{Predicate: c, OnMatch: r.allow})
		}
	}
	if len(list) == 0 {
		return deny
	}
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{Matchers: list}},
		OnNoMatch:   deny,
	}}}
}

func newGrantRules(g *mesh.Grant) *grantRules {
	r := &grantRules{allow: accessAction(g.Target.String(), rbacconfigv3.RBAC_ALLOW), every: g.Connections}
	for _, m := range g.Matches {
		conditions, ok := matchConditions(m)
		switch {
		case !ok:
		case len(conditions) == 0:
			r.every = true
		case len(conditions) == 1:
			r.conditions = append(r.conditions, conditions[0])
		default:
			r.conditions = append(r.conditions, &xdsmatcherv3.Matcher_MatcherList_Predicate{
				MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher{AndMatcher: predicates(conditions)},
			})
		}
	}
	return r
}

// matchConditions are all that must hold (SP-5); none means every request. It
// returns false for a match that Envoy could not be told, which then grants
// nothing.
func matchConditions(m *mesh.Match) ([]*xdsmatcherv3.Matcher_MatcherList_Predicate, bool) {
	var all []*xdsmatcherv3.Matcher_MatcherList_Predicate
	if m.Path != "" {
		all = append(all, condition(pathInput, regexValue(pathExpression(m.Path))))
	}
	if len(m.Methods) > 0 {
		methods := make([]*xdsmatcherv3.Matcher_MatcherList_Predicate, len(m.Methods))
		for i, method := range m.Methods {
			methods[i] = condition(methodInput, exactValue(method))
		}
		all = append(all, anyOf(methods))
	}
	for _, h := range m.Headers {
		header, value, ok := headerCondition(h)
		if !ok {
			return nil, false
		}
		input := xdsTyped("header", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: header})
		all = append(all, condition(input, regexValue(value)))
	}
	return all, true
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

func anyOf(alternatives []*xdsmatcherv3.Matcher_MatcherList_Predicate) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{
		MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_OrMatcher{OrMatcher: predicates(alternatives)},
	}
}

func predicates(list []*xdsmatcherv3.Matcher_MatcherList_Predicate) *xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: list}
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
	pathInput      = stateInput(statePath)
	methodInput    = xdsTyped("method", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":method"})
	deny           = accessAction(Denied, rbacconfigv3.RBAC_DENY)
	allowPlaintext = accessAction(Plaintext, rbacconfigv3.RBAC_ALLOW)
	// denyAll is a Matcher that matches nothing, byKey a MatcherTree without rules.
	denyAll = newPiece(&xdsmatcherv3.Matcher{OnNoMatch: deny})
	byKey   = newPiece(&xdsmatcherv3.Matcher_MatcherTree{Input: keyInput})
)

func stateInput(key string) *xdscorev3.TypedExtensionConfig {
	return xdsTyped("state", &networkinputv3.FilterStateInput{Key: key})
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
