package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A server that stalls once holds up all requests that were due meanwhile, and
// each of them must show it.
func TestOpenLoopCountsWhatAStallHoldsUp(t *testing.T) {
	const stall = 200 * time.Millisecond
	var requests atomic.Int64
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 20 {
			select {
			case <-time.After(stall):
			case <-r.Context().Done():
			}
		}
		_, _ = w.Write([]byte("ok"))
	})}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()

	m, err := get(listener.Addr().String(), "test").openLoop(context.Background(), 200, 1, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.latencies) != 200 {
		t.Fatalf("%d latencies, want 200", len(m.latencies))
	}
	late := 0
	for _, l := range m.latencies {
		if l > stall.Seconds()/2 {
			late++
		}
	}
	// 40 requests were due during the stall; those of its first half waited longer
	// than half of it.
	if late < 15 || late > 80 {
		t.Errorf("%d requests took more than half of the stall, want about 20", late)
	}
}

func TestQuantile(t *testing.T) {
	s := sample{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
