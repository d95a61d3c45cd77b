package compile

// inputs is what an output is made from.
type inputs[I any] interface {
	// equal tells whether the other inputs give the same output.
	equal(I) bool
}

// memo keeps, for each key of one stage, the output of the last walk together
// with the inputs it was made from.
type memo[K comparable, I inputs[I], O any] struct {
	entries map[K]*entry[K, I, O]
	walk    uint64
	// last and now are the entries in the order of the last walk and of this one,
	// next is the place in last where the next key is expected: walks mostly come
	// by the same keys in the same order, which saves looking them up.
	last, now []*entry[K, I, O]
	next      int
}

type entry[K comparable, I any, O any] struct {
	key   K
	in    I
	out   O
	walk  uint64
	place int // in last
}

// begin starts a walk.
func (m *memo[K, I, O]) begin() {
	if m.entries == nil {
		m.entries = map[K]*entry[K, I, O]{}
	}
	m.walk++
	m.next = 0
}

// find returns the entry of a key, nil where there is none.
func (m *memo[K, I, O]) find(key K) *entry[K, I, O] {
	if m.next < len(m.last) && m.last[m.next].key == key {
		m.next++
		return m.last[m.next-1]
	}
	e := m.entries[key]
	if e != nil {
		m.next = e.place + 1
	}
	return e
}

// recognisable outputs, of a key or of a whole stage, can tell that a new one
// says the same as the last, which is then kept. It pays where inputs change
// often and outputs seldom: what is made of them need not be made anew.
type recognisable[O any] interface {
	same(O) bool
}

// kept returns the key's last output where the inputs that it was made from
// still hold. It is for inputs that are quicker to check than to collect: a
// check must answer what equal would; it may note in the inputs where it has
// looked, for the next one. After false, get must follow.
func (m *memo[K, I, O]) kept(key K, holds func(*I) bool) (O, bool) {
	e := m.find(key)
	if e == nil || !holds(&e.in) {
		var none O
		return none, false
	}
	m.visit(e)
	return e.out, true
}

// get returns the key's output: the last one where the inputs are equal to
// those it was made from, else what build makes of them.
func (m *memo[K, I, O]) get(key K, in I, build func(I) O) O {
	e := m.find(key)
	if e == nil {
		e = &entry[K, I, O]{key: key, out: build(in)}
		m.entries[key] = e
	} else if !e.in.equal(in) {
		out := build(in)
		if last, ok := any(e.out).(recognisable[O]); !ok || !last.same(out) {
			e.out = out
		}
	}
	e.in = in
	m.visit(e)
	return e.out
}

func (m *memo[K, I, O]) visit(e *entry[K, I, O]) {
	if e.walk != m.walk {
		e.walk = m.walk
		m.now = append(m.now, e)
	}
}

// end forgets the keys that the walk did not visit.
func (m *memo[K, I, O]) end() {
	if len(m.now) < len(m.entries) {
		for key, e := range m.entries {
			if e.walk != m.walk {
				delete(m.entries, key)
			}
		}
	}
	for i, e := range m.now {
		e.place = i
	}
	clear(m.last) // so that nothing forgotten is held
	m.last, m.now = m.now, m.last[:0]
}

// stage keeps what one stage made of all its keys, and walks them only when an
// input of the stage is another one. Inputs are tables of a snapshot and outputs
// of earlier stages, whose pointers stand for their content.
type stage[I comparable, O any] struct {
	in  I
	out *O
}

func (s *stage[I, O]) get(in I, walk func(I) *O) *O {
	if s.out == nil || s.in != in {
		out := walk(in)
		if made, ok := any(out).(recognisable[*O]); !ok || s.out == nil || !made.same(s.out) {
			s.out = out
		}
		s.in = in
	}
	return s.out
}
