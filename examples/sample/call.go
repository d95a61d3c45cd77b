package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http/httpproxy"
)

// The bounds of what calling others may cost.
const (
	maxCalls       = 1000
	maxAnswerBytes = 64 << 10
	maxAnswers     = 5
	maxErrors      = 10
	maxErrorBytes  = 300
	callTimeout    = 10 * time.Second
	allTimeout     = time.Minute
	maxHops        = 8
	hopsHeader     = "X-Hops"
)

// caller calls other services: HTTP through the proxy that the environment
// names, gRPC and TCP as clients do that take no proxy.
type caller struct {
	http   *http.Client
	dialer *dialer
}

// newCaller reads the proxy from the environment it is given.
func newCaller(getenv func(string) string) *caller {
	proxy := (&httpproxy.Config{
		HTTPProxy: firstOf(getenv("HTTP_PROXY"), getenv("http_proxy")),
		NoProxy:   firstOf(getenv("NO_PROXY"), getenv("no_proxy")),
	}).ProxyFunc()
	c := &caller{dialer: &dialer{Dialer: net.Dialer{Timeout: callTimeout}, namespace: getenv("POD_NAMESPACE"), getenv: getenv}}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
			DialContext:            c.dialer.DialContext,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		// A redirect is an answer like any other, and is told as such.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// callRequest is what to call and how often.
type callRequest struct {
	target
	header http.Header
	body   string
	count  int
}

// callReport tells what came back.
type callReport struct {
	URL   string `json:"url"`
	Count int    `json:"count"`
	// Statuses counts the answers: an HTTP status, the name of a gRPC code, or ok
	// for a TCP connection that said something; error where there was no answer.
	Statuses map[string]int `json:"statuses"`
	// Pods counts who answered.
	Pods map[string]int `json:"pods,omitempty"`
	// Errors counts why there was no answer.
	Errors map[string]int `json:"errors,omitempty"`
	// Answers are the first few answers, whole.
	Answers []answer `json:"answers,omitempty"`
}

// answer is what one call brought.
type answer struct {
	Status string `json:"status"`
	Pod    string `json:"pod,omitempty"`
	// Body is the body itself where it is JSON, else a string.
	Body json.RawMessage `json:"body,omitempty"`
}

func (r *callReport) succeeded() bool {
	for status := range r.Statuses {
		if !strings.HasPrefix(status, "2") && status != "ok" && status != "OK" {
			return false
		}
	}
	return true
}

func (r *callReport) add(got *answer, err error) {
	r.Count++
	if err != nil {
		r.Statuses["error"]++
		text := err.Error()
		if len(r.Errors) < maxErrors {
			r.Errors[text[:min(len(text), maxErrorBytes)]]++
		}
		return
	}
	r.Statuses[got.Status]++
	if got.Pod != "" {
		r.Pods[got.Pod]++
	}
	if len(r.Answers) < maxAnswers {
		r.Answers = append(r.Answers, *got)
	}
}

// call makes the calls one after the other, until they are done or time is up.
func (c *caller) call(ctx context.Context, req callRequest) *callReport {
	ctx, cancel := context.WithTimeout(ctx, allTimeout)
	defer cancel()
	report := &callReport{URL: req.url, Statuses: map[string]int{}, Pods: map[string]int{}, Errors: map[string]int{}}
	for range min(req.count, maxCalls) {
		report.add(c.once(ctx, req))
		if ctx.Err() != nil {
			break
		}
	}
	return report
}

func (c *caller) once(ctx context.Context, req callRequest) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := url.Parse(req.url)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "tcp":
		return c.onceTCP(ctx, u.Host, req.body)
	case "grpc":
		return c.onceGRPC(ctx, u, req)
	}
	r, err := http.NewRequestWithContext(ctx, req.method, req.url, strings.NewReader(req.body))
	if err != nil {
		return nil, err
	}
	for name, values := range req.header {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("status %d, then: %w", res.StatusCode, err)
	}
	return newAnswer(strconv.Itoa(res.StatusCode), res.Header.Get("X-Pod"), body), nil
}

// onceTCP connects, sends the text where there is one, and reads a line.
func (c *caller) onceTCP(ctx context.Context, address, text string) (*answer, error) {
	conn, err := c.dialer.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxAnswerBytes)).ReadBytes('\n')
	if len(line) > 0 {
		return newAnswer("ok", "", bytes.TrimSpace(line)), nil
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the connection was closed without a byte")
	}
	return nil, err
}

// firstBytes is what to send where nothing else is asked for: an HTTP request
// needs no body, but a TCP echo waits for the client to speak.
func firstBytes(address string) string {
	if strings.HasPrefix(address, "tcp:") {
		return "hello\n"
	}
	return ""
}

func newAnswer(status, pod string, body []byte) *answer {
	var named who
	if json.Unmarshal(body, &named) == nil && named.Pod != "" {
		pod = named.Pod
	}
	if !json.Valid(body) {
		quoted, err := json.Marshal(string(body))
		if err != nil {
			panic(err) // a string always marshals
		}
		body = quoted
	}
	return &answer{Status: status, Pod: pod, Body: body}
}

// nextHop returns the header that counts how many services called each other
// for one request, so that services that are told to call each other in a
// circle come to an end.
func nextHop(h http.Header) (http.Header, error) {
	hops, err := number(h.Get(hopsHeader), 0, maxHops)
	if err != nil || hops == maxHops {
		return nil, fmt.Errorf("%d services called each other for one request: is there a circle?", maxHops)
	}
	return http.Header{hopsHeader: {strconv.Itoa(hops + 1)}}, nil
}

// call is the handler of /call.
func (s *server) call(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	count, err := number(query.Get("n"), 1, maxCalls)
	if err != nil {
		refuse(w, fmt.Errorf("n: %w", err))
		return
	}
	req := callRequest{
		target: target{method: firstOf(query.Get("method"), http.MethodGet), url: query.Get("url")},
		count:  count,
	}
	req.body = firstBytes(req.url)
	if query.Has("body") {
		req.body = query.Get("body")
	}
	if err := checkURL(req.url); err != nil {
		refuse(w, fmt.Errorf("url: %w", err))
		return
	}
	if req.header, err = nextHop(r.Header); err != nil {
		http.Error(w, err.Error(), http.StatusLoopDetected)
		return
	}
	for _, line := range query["header"] {
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			refuse(w, fmt.Errorf("header: %.100q is not NAME:VALUE", line))
			return
		}
		req.header.Add(name, value)
	}
	writeJSON(w, http.StatusOK, s.calls.call(r.Context(), req))
}
