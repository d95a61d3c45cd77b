package explain

import (
	"regexp"
	"slices"
	"sync"

	"github.com/smi-project/smi/mesh"
)

// Evaluator answers questions about one mesh. It may be used by several
// goroutines at once.
type Evaluator struct {
	mesh *mesh.Mesh

	mu       sync.Mutex
	compiled map[string]*regexp.Regexp
}

// New returns an evaluator of a mesh.
func New(m *mesh.Mesh) *Evaluator {
	return &Evaluator{mesh: m, compiled: map[string]*regexp.Regexp{}}
}

// matches tells whether all conditions of a match hold (SP-5).
func (e *Evaluator) matches(m *mesh.Match, r *request) bool {
	if m.Methods != nil && !slices.Contains(m.Methods, r.method) {
		return false
	}
	if m.Path != "" && !e.expression(`\A(?:`+m.Path+`)`).MatchString(bytewise(r.path)) { // SP-2
		return false
	}
	for _, h := range m.Headers {
		value, present := r.header(h.Name)
		if !present || !e.expression(`\A(?:`+h.Value+`)\z`).MatchString(bytewise(value)) { // SP-3
			return false
		}
	}
	return true
}

// bytewise makes every byte a character of its own, as proxies match over bytes
// and Go over UTF-8 (SP-1).
func bytewise(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// expression compiles an expression once.
func (e *Evaluator) expression(expr string) *regexp.Regexp {
	e.mu.Lock()
	defer e.mu.Unlock()
	re, ok := e.compiled[expr]
	if !ok {
		// compile lets no other expression into a mesh.
		re = regexp.MustCompile(expr)
		e.compiled[expr] = re
	}
	return re
}
