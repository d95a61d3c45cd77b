package inpod

import (
	"net"
	"net/http"
	"sync"
)

// slots bound how many requests are served at a time, of everybody and of one peer:
// who reads slowly takes none from others.
type slots struct {
	most, mostOfOne int

	mu    sync.Mutex
	taken int
	of    map[string]int
}

func newSlots(most, mostOfOne int) *slots {
	return &slots{most: most, mostOfOne: mostOfOne, of: map[string]int{}}
}

// take takes a slot for who sent the request, if there is one left. What it returns
// gives that back.
func (s *slots) take(r *http.Request) (free func(), ok bool) {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == s.most || s.of[peer] == s.mostOfOne {
		return nil, false
	}
	s.taken++
	s.of[peer]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.of[peer]--; s.of[peer] == 0 {
			delete(s.of, peer)
		}
	}, true
}
