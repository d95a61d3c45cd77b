package store

import (
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestFind finds an object of every kind that has a table, by the kind's name.
func TestFind(t *testing.T) {
	tables := reflect.TypeFor[Snapshot]()
	for i := range tables.NumField() {
		object := tables.Field(i).Type.Elem().Field(0).Type.Elem().Elem() // *Table[*T] -> []*T -> T
		o := reflect.New(object).Interface().(metav1.Object)
		o.SetNamespace("shop")
		o.SetName("one")
		s := New()
		s.Put(o)
		if got, ok := s.Snapshot().Find(object.Name(), "shop", "one"); !ok || got != o {
			t.Errorf("%s: found %v, %t", object.Name(), got, ok)
		}
		if _, ok := s.Snapshot().Find(object.Name(), "shop", "two"); ok {
			t.Errorf("%s: found what is not there", object.Name())
		}
	}
	if _, ok := New().Snapshot().Find("Nonsense", "shop", "one"); ok {
		t.Error("found an object of a kind without table")
	}
}
