package conformance

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// scripted is a target that tells one thing after the other, and the last one
// from then on.
type scripted struct {
	tb      testing.TB
	answers []driver.Answer     // of any call that is no control request
	states  []driver.Connection // of any session
	counts  []int               // of denials
}

var (
	_ Target        = (*scripted)(nil)
	_ DenialCounter = (*scripted)(nil)
)

func (*scripted) Describe(context.Context) (mesh report.Mesh, platform string, err error) { return }

func (*scripted) Apply(context.Context, []*unstructured.Unstructured) error { return nil }

func (*scripted) Reach(_ context.Context, host string, port uint16) (string, uint16, error) {
	return host, port, nil
}

func (*scripted) Close(context.Context) error { return nil }

func (s *scripted) Denials(context.Context, string, string) (int, error) {
	return nextOf(&s.counts), nil
}

// Dial leads to a driver that sends nothing and answers by the script.
func (s *scripted) Dial(ctx context.Context, workload string) (net.Conn, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var told any
		switch {
		case r.Method == http.MethodGet:
			told = nextOf(&s.states)
		case workload == string(Control):
			told = driver.Report{Sent: 1, First: driver.Answer{Status: http.StatusOK, Pod: "smi-apps/server"}}
		default:
			told = driver.Report{Sent: 1, First: nextOf(&s.answers)}
		}
		if err := json.NewEncoder(w).Encode(told); err != nil {
			s.tb.Error(err)
		}
	}))
	s.tb.Cleanup(server.Close)
	return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
}

func nextOf[T any](list *[]T) T {
	first := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

// complaints are those of an expectation that may wait that long.
func (s *scripted) complaints(patience time.Duration, expect func(*T)) []string {
	ctx, cancel := context.WithTimeout(s.tb.Context(), patience)
	defer cancel()
	r := &run{target: s, claim: everything(), drivers: map[Workload]*driver.Client{}}
	defer r.closeDrivers()
	t := &T{ctx: ctx, run: r, settled: true, sessions: map[session]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		expect(t)
	}()
	<-ended
	return t.failures
}

// TestWaiting shows what expectations wait for, and what they complain of.
func TestWaiting(t *testing.T) {
	served, forbidden := driver.Answer{Status: 200, Pod: "smi-apps/server"}, driver.Answer{Status: 403}
	within := func(bound time.Duration) func(*T) {
		return func(t *T) { t.DeniedWithin(bound, Client.Get("server", 80, "/")) }
	}
	closes := func(bound time.Duration) func(*T) {
		return func(t *T) { t.ClosedWithin(bound, Client, "one", "other") }
	}
	flows := func(t *T) { t.Flowing(Client, "one") }
	reach := func(t *T) { t.DenialsReach(Client, "smi-apps/server", 2) }
	open, flowed, gone := driver.Connection{Open: true, Bytes: 7}, driver.Connection{Open: true, Bytes: 8}, driver.Connection{Bytes: 8}
	for name, c := range map[string]struct {
		scripted  scripted
		patience  time.Duration
		expect    func(*T)
		complaint string // a part of the only complaint, and empty where there is none
	}{
		"denied at once":       {scripted{answers: []driver.Answer{forbidden}}, time.Minute, within(time.Minute), ""},
		"denied at last":       {scripted{answers: []driver.Answer{served, served, forbidden}}, time.Minute, within(time.Minute), ""},
		"never denied":         {scripted{answers: []driver.Answer{served}}, time.Minute, within(time.Millisecond), "not a 403 of the mesh"},
		"closed and no denial": {scripted{answers: []driver.Answer{served, {Closed: true}}}, time.Minute, within(time.Minute), "not a 403 of the mesh"},
		"closed at last":       {scripted{states: []driver.Connection{open, open, gone}}, time.Minute, closes(time.Minute), ""},
		"the other is open":    {scripted{states: []driver.Connection{gone, open}}, time.Minute, closes(time.Millisecond), "connection other of smi-apps/client is not closed"},
		"bytes come at last":   {scripted{states: []driver.Connection{open, open, flowed}}, time.Minute, flows, ""},
		"counted at last":      {scripted{counts: []int{1, 1, 2}}, time.Minute, reach, ""},
		"counted too often":    {scripted{counts: []int{1, 3}}, time.Minute, reach, "2 were to be counted, and 3 are"},
		"never counted":        {scripted{counts: []int{1}}, 100 * time.Millisecond, reach, "2 were to be counted, and 1 are"},
	} {
		t.Run(name, func(t *testing.T) {
			c.scripted.tb = t
			got := c.scripted.complaints(c.patience, c.expect)
			if c.complaint == "" && len(got) > 0 || c.complaint != "" && (len(got) != 1 || !strings.Contains(got[0], c.complaint)) {
				t.Errorf("complaints %q, want %q", got, c.complaint)
			}
		})
	}
}

// TestEvidenceOfDenials sees that all that was asked is kept, and how a connection
// ended.
func TestEvidenceOfDenials(t *testing.T) {
	served := driver.Answer{Pod: "smi-apps/server"}
	s := &scripted{tb: t, answers: []driver.Answer{served, served, {Closed: true, Failure: driver.Reset}}}
	r := &run{target: s, claim: everything(), drivers: map[Workload]*driver.Client{}}
	defer r.closeDrivers()
	c := &T{ctx: t.Context(), run: r, settled: true, sessions: map[session]bool{}}
	c.DeniedWithin(time.Minute, Client.TCP("server", 9000))
	got := c.evidence[0]
	if !got.Held || got.Sent != 3 || got.Answers["closed"] != 1 || got.Answers["bytes from smi-apps/server"] != 2 ||
		got.Elapsed <= 0 || got.Controls != 4 || !strings.Contains(got.Detail, "reset") {
		t.Errorf("%+v", got)
	}
	c.DeniedWith(Client.TCP("server", 9000), "a denial that is longer", func(*driver.Answer) string { return "it is short" })
	if got := c.evidence[1]; got.Held || !strings.Contains(got.Detail, "it is short") || got.Wanted != "a denial that is longer" {
		t.Errorf("%+v", got)
	}
}
