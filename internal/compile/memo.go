package compile

// inputs is what an output is made from.
type inputs[I any] interface {
	// equal tells whether the other inputs give the same output.
	equal(I) bool
}

// memo keeps, for each key of one stage, the output of the last walk together
// with the inputs it was made from.
type memo[K comparable, I inputs[I], O any] struct {
	entries map[K]*entry[I, O]
	walk    uint64
	visited int
}

type entry[I any, O any] struct {
	in   I
	out  O
	walk uint64
}

// begin starts a walk.
func (m *memo[K, I, O]) begin() {
	if m.entries == nil {
		m.entries = map[K]*entry[I, O]{}
	}
	m.walk++
	m.visited = 0
}

// recognisable outputs can tell that a new one says the same as the last, which
// is then kept. It pays where inputs change often and outputs seldom: what is
// made of them need not be made anew.
type recognisable[O any] interface {
	same(O) bool
}

// get returns the key's output: the last one where the inputs are equal to
// those it was made from, else what build makes of them.
func (m *memo[K, I, O]) get(key K, in I, build func(I) O) O {
	e, ok := m.entries[key]
	if !ok {
		e = &entry[I, O]{in: in, out: build(in)}
		m.entries[key] = e
	} else if !e.in.equal(in) {
		e.in = in
		out := build(in)
		if last, ok := any(e.out).(recognisable[O]); !ok || !last.same(out) {
			e.out = out
		}
	}
	if e.walk != m.walk {
		e.walk = m.walk
		m.visited++
	}
	return e.out
}

// end forgets the keys that the walk did not visit.
func (m *memo[K, I, O]) end() {
	if m.visited == len(m.entries) {
		return
	}
	for key, e := range m.entries {
		if e.walk != m.walk {
			delete(m.entries, key)
		}
	}
}
