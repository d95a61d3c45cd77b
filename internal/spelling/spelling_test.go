package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"service", "backends", "matches"}
	for written, want := range map[string]string{
		"backend": "backends", "Backends": "backends", "bcakends": "backends", "servcie": "service", "match": "matches",
		"x": "", "frobnicate": "", "spec": "", "": "",
	} {
		if got := Nearest(written, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", written, got, want)
		}
	}
}
