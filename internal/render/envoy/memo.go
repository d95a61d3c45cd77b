package envoy

// memo keeps what was built from equal inputs. The build function receives the
// inputs and the constant parts of the renderer, nothing else, so that a
// forgotten dependency cannot compile. Inputs are comparable: pointers into a
// mesh stand for their content, which never changes.
type memo[I comparable, O any] struct {
	build   func(*parts, I) O
	entries map[I]*memoEntry[O]
}

type memoEntry[O any] struct {
	out  O
	used uint64
}

func newMemo[I comparable, O any](build func(*parts, I) O) *memo[I, O] {
	return &memo[I, O]{build: build, entries: map[I]*memoEntry[O]{}}
}

func (m *memo[I, O]) get(r *Renderer, in I) O {
	e, ok := m.entries[in]
	if !ok {
		e = &memoEntry[O]{out: m.build(r.parts, in)}
		m.entries[in] = e
		r.built++
	}
	e.used = r.generation
	return e.out
}

// sweep forgets what the current generation did not use, and returns how many
// entries are left.
func (m *memo[I, O]) sweep(generation uint64) int {
	for in, e := range m.entries {
		if e.used != generation {
			delete(m.entries, in)
		}
	}
	return len(m.entries)
}
