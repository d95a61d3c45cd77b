//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/smi-project/smi/internal/local"
)

// Who calls, and whom.
const (
	buyer = "bookbuyer/bookbuyer"
	thief = "bookthief/bookthief"
	root  = "http://bookstore.bookstore:9080"
)

// tell goes through the story. An error means that it could not go on.
func (s *story) tell(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		s.starts, s.deniesByDefault, s.opensRoutes, s.splits, s.shiftsUnderLoad, s.testsByHeader, s.withdraws,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) starts(ctx context.Context) error {
	s.step("1. The bookstore starts: every pod is a process behind an Envoy of its own, without any policy yet.")
	waiting, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	err := s.rt.Settle(waiting)
	status := s.rt.Status()
	ready, synced := 0, 0
	for _, p := range status.Pods {
		if p.Ready {
			ready++
		}
		if p.Proxy == "in sync" {
			synced++
		}
	}
	s.check(err == nil && ready == len(status.Pods) && synced == ready,
		"every pod ready, every proxy in sync", fmt.Sprintf("%d pods, %d ready, %d proxies in sync%s", len(status.Pods), ready, synced, because(err)))
	return err
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

func (s *story) deniesByDefault(ctx context.Context) error {
	s.step("2. Nothing is allowed unless a TrafficTarget says so.")
	if err := s.expectStatus(ctx, call{"the bookbuyer is refused", buyer, http.MethodGet, "/books", http.StatusForbidden}); err != nil {
		return err
	}
	return s.refusesPlaintext(ctx)
}

// refusesPlaintext knocks at a sidecar without a certificate.
func (s *story) refusesPlaintext(ctx context.Context) error {
	status := s.rt.Status()
	pod, err := status.FindPod("bookstore/bookstore-v1")
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(pod.SidecarAddress, "9080"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = io.WriteString(conn, "GET /books HTTP/1.1\r\nHost: bookstore\r\n\r\n")
	answer := make([]byte, 64)
	n := 0
	if err == nil {
		n, err = conn.Read(answer)
	}
	s.check(n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded), "a client without a certificate gets its connection closed and not one byte",
		fmt.Sprintf("%d bytes, then: %v", n, err))
	return nil
}

func (s *story) opensRoutes(ctx context.Context) error {
	s.step("3. access.yaml: TrafficTargets let the bookbuyer see and buy books, and the bookstore use its warehouse.")
	if err := s.apply("access.yaml"); err != nil {
		return err
	}
	for _, expect := range []call{
		{"the bookbuyer sees the books", buyer, http.MethodGet, "/books", http.StatusOK},
		{"the bookbuyer buys: the bookstore calls its warehouse by HTTP and TCP", buyer, http.MethodPost, "/buy", http.StatusOK},
		{"the bookbuyer is refused what no match names", buyer, http.MethodGet, "/admin", http.StatusForbidden},
		{"a path that only looks allowed is judged as what it is", buyer, http.MethodGet, "/books/../admin", http.StatusForbidden},
		{"the bookthief is refused", thief, http.MethodGet, "/books", http.StatusForbidden},
	} {
		if err := s.expectStatus(ctx, expect); err != nil {
			return err
		}
	}
	return nil
}

// arrival bounds the time from a changed file to its effect.
const arrival = 10 * time.Second

// call is a request to the bookstore and the status that it should get.
type call struct {
	what, from, method, path string
	want                     int
}

// expectStatus asks until the status is as expected.
func (s *story) expectStatus(ctx context.Context, c call) error {
	var last *local.Report
	var failure error
	took, held := eventually(ctx, arrival, func() bool {
		last, failure = s.ask(ctx, c.from, local.Request{Method: c.method, URL: root + c.path, Count: 1})
		return failure != nil || last.Statuses[fmt.Sprint(c.want)] == 1
	})
	if failure != nil {
		return failure
	}
	s.check(held, fmt.Sprintf("%s: %s %s gets %d", c.what, c.method, c.path, c.want), fmt.Sprintf("%s, after %d ms", counts(last.Statuses), took.Milliseconds()))
	return nil
}

func (s *story) splits(ctx context.Context) error {
	s.step("4. split.yaml: a TrafficSplit sends one request in ten to version 2.")
	if err := s.apply("split.yaml"); err != nil {
		return err
	}
	return s.expectShares(ctx, 1000, 0.1)
}

// expectShares waits until the mesh is settled and measures the share of v2.
func (s *story) expectShares(ctx context.Context, n int, want float64) error {
	settled := func() bool {
		for _, split := range s.rt.Status().Splits {
			for _, b := range split.Backends {
				if b.Service == "bookstore-v2" && !split.Matches && math.Abs(b.Wanted-want) < 1e-9 {
					return true
				}
			}
		}
		return want == 0 && len(s.rt.Status().Splits) > 0
	}
	eventually(ctx, arrival, settled)
	waiting, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	if err := s.rt.Settle(waiting); err != nil {
		return err
	}
	report, err := s.ask(ctx, buyer, local.Request{Method: http.MethodGet, URL: root + "/books", Count: n})
	if err != nil {
		return err
	}
	v2 := report.Backends["bookstore-v2-0"]
	off := math.Abs(float64(v2) - want*float64(n))
	s.check(report.Statuses["200"] == n && off <= tolerance(n, want), fmt.Sprintf("%d requests, all answered, %.0f%% of them by v2", n, 100*want),
		fmt.Sprintf("%s; %s", counts(report.Statuses), counts(report.Backends)))
	return nil
}

func (s *story) shiftsUnderLoad(ctx context.Context) error {
	s.step("5. The weights shift to 50/50, 1/99 and 0/100 while requests flow.")
	loading, stop := context.WithCancel(ctx)
	load := make(chan *local.Report, 1)
	go func() {
		total := &local.Report{Statuses: map[string]int{}, Backends: map[string]int{}}
		for loading.Err() == nil {
			report, err := s.ask(ctx, buyer, local.Request{Method: http.MethodGet, URL: root + "/books", Count: 50})
			if err != nil {
				total.Statuses[err.Error()]++
				break
			}
			total.Total += report.Total
			for status, n := range report.Statuses {
				total.Statuses[status] += n
			}
		}
		load <- total
	}()
	var failure error
	for _, weights := range [][2]int{{50, 50}, {1, 99}, {0, 100}} {
		if failure = s.shift(weights[0], weights[1]); failure != nil {
			break
		}
		if failure = s.expectShares(ctx, 400, float64(weights[1])/100); failure != nil {
			break
		}
	}
	stop()
	total := <-load
	s.check(total.Total > 0 && total.Statuses["200"] == total.Total, "not one of the requests that flowed meanwhile failed",
		fmt.Sprintf("%d requests: %s", total.Total, counts(total.Statuses)))
	return failure
}

func (s *story) testsByHeader(ctx context.Context) error {
	s.step("6. ab-test.yaml: all traffic back to version 1, but for those who ask for the beta by a header.")
	if err := s.shift(100, 0); err != nil {
		return err
	}
	if err := s.apply("ab-test.yaml"); err != nil {
		return err
	}
	for _, expect := range []struct {
		what   string
		header http.Header
		pod    string
	}{
		{"with x-beta: true", http.Header{"X-Beta": {"true"}}, "bookstore-v2-0"},
		{"without the header", nil, "bookstore-v1-0"},
	} {
		const n = 50
		var last *local.Report
		var failure error
		_, held := eventually(ctx, arrival, func() bool {
			last, failure = s.ask(ctx, buyer, local.Request{Method: http.MethodGet, URL: root + "/books", Header: expect.header, Count: n})
			return failure != nil || last.Backends[expect.pod] == n
		})
		if failure != nil {
			return failure
		}
		s.check(held, fmt.Sprintf("%d requests %s, all answered by %s", n, expect.what, expect.pod), counts(last.Backends))
	}
	return nil
}

func (s *story) withdraws(ctx context.Context) error {
	s.step("7. access.yaml is deleted again: what it allowed ends, on open connections too.")
	if err := s.remove("access.yaml"); err != nil {
		return err
	}
	return s.expectStatus(ctx, call{"the bookbuyer is refused again", buyer, http.MethodGet, "/books", http.StatusForbidden})
}

// afterwards looks for what the runtime left behind.
func (s *story) afterwards() {
	s.step("8. Everything was stopped.")
	left := children()
	s.check(len(left) == 0, "no process is left", fmt.Sprintf("%d left %v", len(left), left))
}
