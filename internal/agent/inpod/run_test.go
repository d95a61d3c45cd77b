package inpod

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestWhoDoesNotReadIsCutOff has a peer that asks for an endless answer and reads
// nothing of it. Its handler, and so the slot that it holds, is free again.
func TestWhoDoesNotReadIsCutOff(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := make(chan struct{})
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(free)
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, endless, 100*time.Millisecond) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := peer.Write([]byte("GET /metrics HTTP/1.1\r\nHost: web\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-free:
	case <-time.After(20 * time.Second):
		t.Error("the handler still writes to a peer that reads nothing")
	}
}
