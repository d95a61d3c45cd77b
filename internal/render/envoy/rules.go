package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smi-project/smi/mesh"
)

// Fields of the messages that rules are assembled from.
const (
	fieldName          = 1 // of a TypedExtensionConfig
	fieldTypedConfig   = 2 // of a TypedExtensionConfig
	fieldAnyURL        = 1 // of an Any
	fieldAnyValue      = 2 // of an Any
	fieldMatcher       = 4 // of RBAC
	fieldShadowMatcher = 5 // of RBAC
	fieldMatcherList   = 1 // of a Matcher
	fieldMatcherTree   = 2 // of a Matcher
	fieldExactMatchMap = 2 // of a MatcherTree
	fieldMap           = 1 // of a MatchMap
	fieldMapKey        = 1 // of an entry of a map
	fieldMapValue      = 2 // of an entry of a map

	fieldOnMatchMatcher = 1 // of an OnMatch
	fieldMatchers       = 1 // of a MatcherList
	fieldPredicate      = 1 // of a FieldMatcher
	fieldOnMatch        = 2 // of a FieldMatcher
	fieldOrMatcher      = 2 // of a Predicate
	fieldAndMatcher     = 3 // of a Predicate
	fieldPredicates     = 1 // of a PredicateList
)

var (
	rbacURL       = typeURL(&rbacv3.RBAC{})
	extensionURL  = typeURL(&corev3.TypedExtensionConfig{})
	sizeOfRBACURL = fieldSize(fieldAnyURL, len(rbacURL))
	// rulesSum is of what all rules have in common.
	rulesSum = sha256.Sum256(slices.Concat([]byte(rbacURL), denyAll, byKey))
)

// rule is what a set of grants allows: an encoded OnMatch, and its digest.
type rule struct {
	encoded []byte
	sum     [sha256.Size]byte
}

func newRule(onMatch []byte) *rule { return &rule{onMatch, sha256.Sum256(onMatch)} }

// rulesWriter puts configurations of the RBAC filter down. Its matcher form
// finds a source's grants in one look-up; what nothing allows is denied (AC-1),
// unless the mode enforces nothing (AC-16). There is a configuration for each
// source of each port, so they are put down by hand, and what sources may do
// lies in memory once.
type rulesWriter struct {
	// matcher is the field of RBAC that the rules stand in; 0 leaves them out.
	matcher protowire.Number
	all     []Resource
	// room is where the next bytes go.
	room []byte
	// digest is of the resource that is being put down: of what it is made of.
	digest []byte
}

func newRulesWriter(mode mesh.Mode, resources int) *rulesWriter {
	w := &rulesWriter{matcher: fieldMatcher, all: make([]Resource, 0, resources)}
	switch mode {
	case mesh.Permissive:
		w.matcher = 0
	case mesh.Audit:
		w.matcher = fieldShadowMatcher
	}
	return w
}

func (w *rulesWriter) resources() []*Resource {
	out := make([]*Resource, len(w.all))
	for i := range w.all {
		out[i] = &w.all[i]
	}
	return out
}

// entry is one of the map that a source's grants are looked up in. The key is in
// two parts, with a blank between them unless the second is "".
type entry struct {
	key, rest string
	rule      *rule
}

// add puts down a configuration that gives each source the rule of its set, and
// peers without identity the plaintext rule unless that is nil.
func (w *rulesWriter) add(name string, plaintext *rule, rules []*rule, sources []grantedSource) {
	entries := make([]entry, 0, len(sources)+1)
	if plaintext != nil {
		entries = append(entries, entry{key: keyPlaintext, rule: plaintext})
	}
	for _, s := range sources {
		entries = append(entries, entry{s.serverName, string(s.principal), rules[s.set]})
	}
	sum := w.sum(name, entries)
	if w.matcher == 0 {
		entries = nil
	}
	list, shared := 0, 0
	for _, e := range entries {
		list += fieldSize(fieldMap, e.size())
		shared += len(e.rule.encoded)
	}
	b, tree := w.begin(name, list, shared)
	if len(entries) > 0 {
		b = append(appendHead(b, fieldMatcherTree, tree), byKey...)
		b = appendHead(b, fieldExactMatchMap, list)
	}
	body, done := make([][]byte, 0, 2*len(entries)+1), 0
	for _, e := range entries {
		b = e.appendHead(b)
		body = append(body, b[done:len(b):len(b)], e.rule.encoded)
		done = len(b)
	}
	if done < len(b) {
		body = append(body, b[done:len(b):len(b)])
	}
	w.room = b[len(b):cap(b)]
	w.all = append(w.all, Resource{Type: extensionURL, Name: name, Version: hex.EncodeToString(sum[:16]), Body: body})
}

// begin puts down a configuration up to its map of that size, of which so much
// lies elsewhere. It returns where to go on, and the size of the map's tree.
func (w *rulesWriter) begin(name string, list, elsewhere int) (b []byte, tree int) {
	tree = len(byKey) + fieldSize(fieldExactMatchMap, list)
	matcher := len(denyAll)
	if list > 0 {
		matcher += fieldSize(fieldMatcherTree, tree)
	}
	rbac := 0
	if w.matcher != 0 {
		rbac = fieldSize(w.matcher, matcher)
	}
	config := sizeOfRBACURL + fieldSize(fieldAnyValue, rbac)
	need := fieldSize(fieldName, len(name)) + fieldSize(fieldTypedConfig, config) - elsewhere
	if b = w.room; cap(b) < need {
		b = make([]byte, 0, need*(cap(w.all)-len(w.all)))
	}
	b = protowire.AppendString(protowire.AppendTag(b[:0], fieldName, protowire.BytesType), name)
	b = appendHead(b, fieldTypedConfig, config)
	b = protowire.AppendString(protowire.AppendTag(b, fieldAnyURL, protowire.BytesType), rbacURL)
	b = appendHead(b, fieldAnyValue, rbac)
	if w.matcher != 0 {
		b = append(appendHead(b, w.matcher, matcher), denyAll...)
	}
	return b, tree
}

// sum is a digest of the resource. Rules are most of it, and digested once.
func (w *rulesWriter) sum(name string, entries []entry) [sha256.Size]byte {
	d := append(append(w.digest[:0], rulesSum[:]...), byte(w.matcher))
	d = protowire.AppendString(d, name)
	for _, e := range entries {
		d = protowire.AppendString(d, e.key)
		d = append(protowire.AppendString(d, e.rest), e.rule.sum[:]...)
	}
	w.digest = d
	return sha256.Sum256(d)
}

func (e entry) keySize() int {
	if e.rest == "" {
		return len(e.key)
	}
	return len(e.key) + 1 + len(e.rest)
}

// size is that of the entry, without its head.
func (e entry) size() int {
	return fieldSize(fieldMapKey, e.keySize()) + fieldSize(fieldMapValue, len(e.rule.encoded))
}

// appendHead adds all of the entry but the rule, which ends it.
func (e entry) appendHead(b []byte) []byte {
	b = appendHead(b, fieldMap, e.size())
	b = append(appendHead(b, fieldMapKey, e.keySize()), e.key...)
	if e.rest != "" {
		b = append(append(b, ' '), e.rest...)
	}
	return appendHead(b, fieldMapValue, len(e.rule.encoded))
}

// fieldSize is that of a field of so many bytes, its head included.
func fieldSize(field protowire.Number, size int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(size)
}

// appendHead begins a field of so many bytes.
func appendHead(b []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(size))
}

func appendField(b []byte, field protowire.Number, content []byte) []byte {
	return append(appendHead(b, field, len(content)), content...)
}

// filled is a template with these strings in its holes.
func filled(t *template, values ...string) []byte {
	return t.fill(make([]byte, 0, sizeOf(t.parts, values)), values...)
}
