package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bounds of what a client may ask for.
const (
	maxDelay         = time.Minute
	maxStreamSeconds = 600
)

// handler serves every HTTP port. It does without http.ServeMux, which would
// redirect paths that are not clean: here they are to be seen as they arrived.
func (s *server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			// A failed call has no message that could tell who answered.
			w.Header().Set("X-Pod", s.cfg.who.Pod)
			s.grpc.ServeHTTP(w, r)
			return
		}
		s.stamp(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		switch path := r.URL.Path; {
		case path == "/healthz":
			s.healthz(w)
		case path == "/call":
			s.call(w, r)
		case path == "/delay":
			s.delay(w, r)
		case path == "/stream":
			s.stream(w, r)
		case path == "/admit":
			s.admit(w, r)
		case path == "/ws":
			s.websocket(w, r)
		case strings.HasPrefix(path, "/status/"):
			s.status(w, strings.TrimPrefix(path, "/status/"))
		default:
			s.answer(w, r)
		}
	})
}

// stamp says who answers, also where the answer has no body.
func (s *server) stamp(h http.Header) {
	h.Set("X-Pod", s.cfg.who.Pod)
	if s.cfg.who.Version != "" {
		h.Set("X-Version", s.cfg.who.Version)
	}
}

func (s *server) healthz(w http.ResponseWriter) {
	if s.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// answer echoes the request, after the calls that its path is configured with.
// It answers 502 where one of those failed, as a service would that cannot do
// its work without another.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	out, err := s.describe(r)
	if err != nil {
		refuse(w, err)
		return
	}
	code := http.StatusOK
	if upstream := s.cfg.calls[r.URL.Path]; len(upstream) > 0 {
		hops, err := nextHop(r.Header)
		if err != nil {
			http.Error(w, err.Error(), http.StatusLoopDetected)
			return
		}
		for _, address := range upstream {
			report := s.calls.call(r.Context(), callRequest{
				target: target{r.Method, address}, header: hops, body: firstBytes(address), count: 1,
			})
			out.Upstream = append(out.Upstream, report)
			if !report.succeeded() {
				code = http.StatusBadGateway
			}
		}
	}
	writeJSON(w, code, out)
}

// describe reads the request to its end and tells what it was.
func (s *server) describe(r *http.Request) (*reply, error) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	return &reply{
		who: s.cfg.who, Protocol: r.Proto, Method: r.Method, Path: path, Query: query, Host: r.Host,
		Headers: lowerNames(r.Header), BodyBytes: n, Principal: principal(r.Header.Values("X-Forwarded-Client-Cert")),
	}, nil
}

func (s *server) delay(w http.ResponseWriter, r *http.Request) {
	ms, err := number(r.URL.Query().Get("ms"), 0, int(maxDelay.Milliseconds()))
	if err != nil {
		refuse(w, fmt.Errorf("ms: %w", err))
		return
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		s.answer(w, r)
	case <-r.Context().Done():
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	}
}

// stream writes a line at once and one a second after it.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	seconds, err := number(r.URL.Query().Get("seconds"), 0, maxStreamSeconds)
	if err != nil {
		refuse(w, fmt.Errorf("seconds: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	control := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 0; ; second++ {
		if _, err := fmt.Fprintf(w, "%s %d\n", s.cfg.who.Pod, second); err != nil {
			return
		}
		if err := control.Flush(); err != nil || second >= seconds {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *server) status(w http.ResponseWriter, text string) {
	code, err := number(text, 200, 599)
	if err != nil {
		refuse(w, fmt.Errorf("status: %w", err))
		return
	}
	if code == http.StatusNoContent || code == http.StatusNotModified {
		w.WriteHeader(code)
		return
	}
	writeJSON(w, code, s.cfg.who)
}

// number reads a whole number within bounds; nothing reads as the lower one.
func number(text string, low, high int) (int, error) {
	if text == "" {
		return low, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%.20q is not a whole number from %d to %d", text, low, high)
	}
	return n, nil
}

// refuse answers a request that cannot be served as it is.
func refuse(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body) // a client that has gone away needs no answer
}
