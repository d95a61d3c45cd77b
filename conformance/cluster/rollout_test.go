package cluster

import (
	"slices"
	"testing"
)

// TestGone names the pods that a control plane must have seen go.
func TestGone(t *testing.T) {
	target := new(Target)
	one, two := Seen{"Pod", "shop", "one", "1"}, Seen{"Pod", "shop", "two", "2"}
	if gone := target.gone([]Seen{one, two}); len(gone) != 0 {
		t.Errorf("%v are gone at first", gone)
	}
	one.ResourceVersion = "3"
	want := []Seen{{Kind: "Pod", Namespace: "shop", Name: "two"}}
	if gone := target.gone([]Seen{one}); !slices.Equal(gone, want) {
		t.Errorf("%v are gone; wanted %v", gone, want)
	}
	if gone := target.gone([]Seen{one}); len(gone) != 0 {
		t.Errorf("%v are gone once more", gone)
	}
}
