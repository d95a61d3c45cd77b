package local

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is what smi request sends.
type Request struct {
	Method string
	// URL is http://SERVICE.NAMESPACE:PORT/PATH.
	URL    string
	Header http.Header
	// Count is how often.
	Count int
}

// Report says what came back.
type Report struct {
	Total int `json:"total"`
	// Statuses counts answers by status code; "error" those that never came.
	Statuses map[string]int `json:"statuses"`
	// Backends counts answers by the pod whose application gave them. What a
	// sidecar refused is not among them.
	Backends map[string]int `json:"backends"`
	// Error is the last error, where a request had no answer.
	Error string `json:"error,omitempty"`
	// Body is the beginning of the last answer.
	Body string `json:"-"`
}

// headerUpstream tells, on the sidecar's port for smi request alone, which
// address a request was sent to.
const headerUpstream = "x-smi-upstream"

// refusal begins the text of every answer that a sidecar gives itself.
const refusal = "smi: "

// Send sends requests through the sidecar of a pod, one after the other until the
// context ends, and tells what became of them. The error says what is wrong with
// the request; one that had no answer is no error, and in the Report.
func (s *Status) Send(ctx context.Context, from *PodStatus, r Request) (*Report, error) {
	target, err := url.Parse(r.URL)
	if err != nil || target.Scheme != "http" || target.Host == "" {
		return nil, fmt.Errorf("%q is no URL of the mesh: write http://SERVICE.NAMESPACE:PORT/PATH", r.URL)
	}
	proxy := &url.URL{Scheme: "http", Host: from.RequestProxy}
	client := &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{Proxy: http.ProxyURL(proxy), MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	pods := s.podsByAddress()
	report := &Report{Statuses: map[string]int{}, Backends: map[string]int{}}
	for range r.Count {
		if ctx.Err() != nil {
			break
		}
		err := send(ctx, client, r, pods, report)
		if err != nil && ctx.Err() != nil {
			break // Nobody waits for this one any more.
		}
		report.Total++
		if err != nil {
			report.Statuses["error"]++
			report.Error = err.Error()
		}
	}
	return report, nil
}

// maxBody bounds what is read of an answer, maxShown what is kept of it, in bytes.
const (
	maxBody  = 16 << 20
	maxShown = 64 << 10
)

func send(ctx context.Context, client *http.Client, r Request, pods map[string]string, report *Report) error {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, nil)
	if err != nil {
		return err
	}
	for name, values := range r.Header {
		if strings.EqualFold(name, "host") {
			req.Host = values[0]
			continue
		}
		req.Header[name] = values
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	body := io.LimitReader(res.Body, maxBody)
	shown, err := io.ReadAll(io.LimitReader(body, maxShown))
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	report.Body = string(shown)
	report.Statuses[fmt.Sprint(res.StatusCode)]++
	host, _, _ := net.SplitHostPort(res.Header.Get(headerUpstream))
	if pod := pods[host]; pod != "" && !strings.HasPrefix(report.Body, refusal) {
		report.Backends[pod]++
	}
	return nil
}

// podsByAddress finds a pod's name by the address that the mesh sees.
func (s *Status) podsByAddress() map[string]string {
	pods := map[string]string{}
	for _, p := range s.Pods {
		address := p.SidecarAddress
		if address == "" {
			address = p.Address
		}
		pods[address] = p.Name
	}
	return pods
}
