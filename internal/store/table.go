package store

import (
	"slices"
	"strings"
)

// Table holds the objects of one kind. It never changes: a change makes a new
// table that shares the objects that stayed, so two snapshots with the same
// table hold the same objects.
//
// It is a sorted slice and nothing else. A change of one object then copies
// pointers, which takes microseconds where copying a map of ten thousand takes
// a millisecond, and a look-up by binary search is quick enough.
type Table[T Object] struct {
	sorted []T
}

// Get returns the object of that name.
func (t *Table[T]) Get(namespace, name string) (T, bool) {
	i, found := search(t.sorted, namespace, name)
	if !found {
		var none T
		return none, false
	}
	return t.sorted[i], true
}

// All returns every object, sorted by namespace and name. The caller must not
// modify the slice.
func (t *Table[T]) All() []T { return t.sorted }

// Len is the number of objects.
func (t *Table[T]) Len() int { return len(t.sorted) }

// change says what to do with the objects of an update.
type change int

const (
	put change = iota
	remove
	replace
)

// update returns the table after the change, which is t itself where the change
// changes nothing. Of several objects of one name the last counts.
func update[T Object](t *Table[T], objs []T, c change) *Table[T] {
	if len(objs) == 0 && c != replace {
		return t
	}
	objs = sortedByName(objs)
	if c == replace {
		if slices.EqualFunc(objs, t.sorted, same) {
			return t
		}
		return &Table[T]{sorted: objs}
	}
	return t.merged(objs, c)
}

// merged walks the changes in order and copies what lies between them.
func (t *Table[T]) merged(objs []T, c change) *Table[T] {
	next := make([]T, 0, len(t.sorted)+len(objs))
	rest, changed := t.sorted, false
	for _, o := range objs {
		i, found := search(rest, o.GetNamespace(), o.GetName())
		if c == put {
			changed = changed || !found || !same(rest[i], o)
			next = append(append(next, rest[:i]...), o)
		} else {
			changed = changed || found
			next = append(next, rest[:i]...)
		}
		if found {
			i++
		}
		rest = rest[i:]
	}
	if !changed {
		return t
	}
	return &Table[T]{sorted: append(next, rest...)}
}

// sortedByName returns a sorted copy with one object, the last, of each name.
func sortedByName[T Object](objs []T) []T {
	sorted := slices.Clone(objs)
	slices.SortStableFunc(sorted, compareNames)
	last := sorted[:0]
	for i, o := range sorted {
		if i+1 < len(sorted) && compareNames(o, sorted[i+1]) == 0 {
			continue
		}
		last = append(last, o)
	}
	return last
}

func search[T Object](sorted []T, namespace, name string) (int, bool) {
	return slices.BinarySearchFunc(sorted, name, func(o T, name string) int {
		if c := strings.Compare(o.GetNamespace(), namespace); c != 0 {
			return c
		}
		return strings.Compare(o.GetName(), name)
	})
}

func compareNames[T Object](a, b T) int {
	if c := strings.Compare(a.GetNamespace(), b.GetNamespace()); c != 0 {
		return c
	}
	return strings.Compare(a.GetName(), b.GetName())
}

func same[T Object](a, b T) bool { return any(a) == any(b) }
