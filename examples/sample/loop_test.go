package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a buffer that a logger writes and a test waits on.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

// await waits until the text was written.
func (s *sink) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		text := s.text.String()
		s.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%q was never written:\n%s", want, text)
		}
	}
}

func TestLoopTellsChangesAndSums(t *testing.T) {
	r := start(t, nil, nil)
	out := &sink{more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	l := newLoop(target{"GET", "http://" + r.address[kindHTTP] + "/books"}, r.calls, slog.New(slog.NewTextHandler(out, nil)))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx, 10*time.Millisecond, 100*time.Millisecond)
	}()
	out.await(t, `msg=answered call="GET http://`)
	out.await(t, `status=200 by=bookstore-v1-0:1`)
	out.await(t, `msg=summary`)
	r.stop()
	r.wait(t)
	out.await(t, `level=WARN msg="no answer"`)
	cancel()
	<-ended
}
