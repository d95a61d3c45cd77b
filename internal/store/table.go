package store

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Table holds the objects of one kind. It never changes: a change makes a new
// table that shares the objects that stayed, so two snapshots with the same
// table hold the same objects.
type Table[T Object] struct {
	sorted []T
	byName map[types.NamespacedName]T
}

// Get returns the object of that name.
func (t *Table[T]) Get(namespace, name string) (T, bool) {
	o, ok := t.byName[types.NamespacedName{Namespace: namespace, Name: name}]
	return o, ok
}

// All returns every object, sorted by namespace and name. The caller must not
// modify the slice.
func (t *Table[T]) All() []T { return t.sorted }

// Len is the number of objects.
func (t *Table[T]) Len() int { return len(t.sorted) }

func newTable[T Object](byName map[types.NamespacedName]T) *Table[T] {
	sorted := slices.Collect(maps.Values(byName))
	slices.SortFunc(sorted, func(a, b T) int { return compareNames(nameOf(a), nameOf(b)) })
	return &Table[T]{sorted: sorted, byName: byName}
}

// change says what to do with the objects of an update: replace the table by
// them, put them into it, or delete them from it.
type change struct {
	replace bool
	put     bool
}

func update[T Object](t *Table[T], objs []T, c change) *Table[T] {
	switch {
	case c.replace:
		return t.replaced(objs)
	case len(objs) == 0:
		return t
	case c.put:
		return t.with(objs)
	default:
		return t.without(objs)
	}
}

func (t *Table[T]) replaced(objs []T) *Table[T] {
	byName := make(map[types.NamespacedName]T, len(objs))
	for _, o := range objs {
		byName[nameOf(o)] = o
	}
	same := func(a, b T) bool { return any(a) == any(b) }
	if maps.EqualFunc(byName, t.byName, same) {
		return t
	}
	return newTable(byName)
}

func (t *Table[T]) with(objs []T) *Table[T] {
	next := t.clone()
	for _, o := range objs {
		name := nameOf(o)
		next.byName[name] = o
		i, found := next.search(name)
		if found {
			next.sorted[i] = o
		} else {
			next.sorted = slices.Insert(next.sorted, i, o)
		}
	}
	return next
}

func (t *Table[T]) without(objs []T) *Table[T] {
	next := t.clone()
	for _, o := range objs {
		name := nameOf(o)
		delete(next.byName, name)
		if i, found := next.search(name); found {
			next.sorted = slices.Delete(next.sorted, i, i+1)
		}
	}
	return next
}

func (t *Table[T]) clone() *Table[T] {
	next := &Table[T]{sorted: slices.Clone(t.sorted), byName: maps.Clone(t.byName)}
	if next.byName == nil {
		next.byName = map[types.NamespacedName]T{}
	}
	return next
}

func (t *Table[T]) search(name types.NamespacedName) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, name, func(o T, n types.NamespacedName) int {
		return compareNames(nameOf(o), n)
	})
}

func nameOf[T Object](o T) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func compareNames(a, b types.NamespacedName) int {
	if a.Namespace != b.Namespace {
		if a.Namespace < b.Namespace {
			return -1
		}
		return 1
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	default:
		return 0
	}
}
