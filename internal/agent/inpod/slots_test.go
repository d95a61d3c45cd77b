package inpod

import (
	"net/http"
	"testing"
)

// TestSlots has one peer take no more than its share, whatever its ports.
func TestSlots(t *testing.T) {
	s := newSlots(4, 2)
	take := func(from string, want bool) func() {
		t.Helper()
		free, ok := s.take(&http.Request{RemoteAddr: from})
		if ok != want {
			t.Errorf("%s gets a slot: %t", from, ok)
		}
		return free
	}
	first := take("10.0.0.1:1001", true)
	take("10.0.0.1:1002", true)
	take("10.0.0.1:1003", false)
	take("[fd00::1]:1001", true)
	last := take("10.0.0.2:1001", true)
	take("10.0.0.3:1001", false)
	last()
	take("10.0.0.1:1004", false)
	first()
	take("10.0.0.1:1005", true)
	take("10.0.0.3:1001", true)
	if len(s.of) != 3 {
		t.Errorf("%d peers are remembered, and three are served", len(s.of))
	}
}
