package conformance

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// fake is a target whose workloads answer what a test says.
type fake struct {
	t *testing.T
	// answers are those to the requests that are no control requests, one after
	// the other; the last one stays.
	answers []driver.Answer
	// states are those of any session, in the same way, and counts of denials.
	states []driver.Connection
	counts []int
	// uncontrolled tells that control requests fail.
	uncontrolled bool
}

var _ Target = (*fake)(nil)
var _ DenialCounter = (*fake)(nil)

func (*fake) Describe(context.Context) (report.Mesh, string, error) { return report.Mesh{}, "", nil }

func (*fake) Apply(context.Context, []*unstructured.Unstructured) error { return nil }

func (*fake) Reach(_ context.Context, host string, port uint16) (string, uint16, error) {
	return host, port, nil
}

func (*fake) Close(context.Context) error { return nil }

func (f *fake) Denials(context.Context, string, string) (int, error) { return next(&f.counts), nil }

func (f *fake) Dial(ctx context.Context, workload string) (net.Conn, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body any
		switch {
		case r.Method == http.MethodGet:
			body = next(&f.states)
		case workload == string(Control):
			a := driver.Answer{Status: http.StatusOK, Pod: "smi-apps/server"}
			if f.uncontrolled {
				a = driver.Answer{Closed: true}
			}
			body = driver.Report{Sent: 1, First: a}
		default:
			var order driver.Request
			if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
				f.t.Error(err)
			}
			got := driver.Report{Words: map[string]int{}}
			for range max(order.Count, 1) {
				a := next(&f.answers)
				if got.Sent == 0 {
					got.First = a
				}
				got.Sent++
				got.Words[a.Word()]++
			}
			body = got
		}
		if err := json.NewEncoder(w).Encode(body); err != nil {
			f.t.Error(err)
		}
	}))
	f.t.Cleanup(server.Close)
	return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
}

func next[T any](list *[]T) T {
	first := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

// failures carries out a case on the fake and returns what it complains about.
func (f *fake) failures(patience time.Duration, do func(*T)) []string {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	r := &run{target: f, drivers: map[Workload]*driver.Client{}}
	defer r.closeDrivers()
	t := &T{ctx: ctx, run: r, sessions: map[session]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(t)
	}()
	<-done
	if held := !slices.ContainsFunc(t.evidence, func(e report.Evidence) bool { return !e.Held }); held != (len(t.failures) == 0) {
		f.t.Errorf("the evidence says that it holds (%t), and there are failures: %q", held, t.failures)
	}
	return t.failures
}

var (
	fromServer = driver.Answer{Status: 200, Pod: "smi-apps/server"}
	forbidden  = driver.Answer{Status: 403}
	closed     = driver.Answer{Closed: true}
)

// TestExpectations shows for each expectation what holds, and what it complains of.
func TestExpectations(t *testing.T) {
	get, tcp := Client.Get("server", 80, "/"), Client.TCP("server", 9000)
	for name, c := range map[string]struct {
		fake fake
		do   func(*T)
		// complaint is a part of the only failure, and empty where there is none.
		complaint string
	}{
		"denied":                     {fake{answers: []driver.Answer{forbidden}}, func(t *T) { t.Denied(get) }, ""},
		"denied, but an outage":      {fake{answers: []driver.Answer{forbidden}, uncontrolled: true}, func(t *T) { t.Unreached(get) }, "there is an outage"},
		"not denied":                 {fake{answers: []driver.Answer{fromServer}}, func(t *T) { t.Denied(get) }, "not a 403 of the mesh"},
		"closed instead of denied":   {fake{answers: []driver.Answer{closed}}, func(t *T) { t.Denied(get) }, "not a 403 of the mesh"},
		"denied by the application":  {fake{answers: []driver.Answer{{Status: 403, Pod: "smi-apps/server"}}}, func(t *T) { t.Denied(get) }, "not a 403 of the mesh"},
		"connection closed":          {fake{answers: []driver.Answer{closed}}, func(t *T) { t.Denied(tcp) }, ""},
		"connection hangs":           {fake{answers: []driver.Answer{{TimedOut: true}}}, func(t *T) { t.Denied(tcp) }, "not closed without a byte"},
		"a greeting leaks":           {fake{answers: []driver.Answer{{Closed: true, Body: "220"}}}, func(t *T) { t.Denied(tcp) }, "not closed without a byte"},
		"denied at last":             {fake{answers: []driver.Answer{fromServer, fromServer, forbidden}}, func(t *T) { t.DeniedWithin(time.Minute, get) }, ""},
		"never denied":               {fake{answers: []driver.Answer{fromServer}}, func(t *T) { t.DeniedWithin(time.Millisecond, get) }, "not a 403 of the mesh"},
		"mixed":                      {fake{answers: []driver.Answer{forbidden, fromServer, forbidden}}, func(t *T) { t.Mixed(get, 3, "403", "200 from smi-apps/server") }, ""},
		"mixed, and something else":  {fake{answers: []driver.Answer{closed, fromServer, forbidden}}, func(t *T) { t.Mixed(get, 3, "403", "200 from smi-apps/server") }, "1 were closed"},
		"mixed, and one never comes": {fake{answers: []driver.Answer{forbidden}}, func(t *T) { t.Mixed(get, 3, "403", "200 from smi-apps/server") }, "none was 200 from smi-apps/server"},
		"open":                       {fake{states: []driver.Connection{{Open: true}}}, func(t *T) { t.Open(Client, "s") }, ""},
		"not open":                   {fake{states: []driver.Connection{{}}}, func(t *T) { t.Open(Client, "s") }, "is not open"},
		"closed at last":             {fake{states: []driver.Connection{{Open: true}, {Open: true}, {}}}, func(t *T) { t.ClosedWithin(time.Minute, Client, "s", "other") }, ""},
		"never closed":               {fake{states: []driver.Connection{{}, {Open: true}}}, func(t *T) { t.ClosedWithin(time.Millisecond, Client, "s", "other") }, "connection other"},
		"flowing":                    {fake{states: []driver.Connection{{Open: true, Bytes: 7}, {Open: true, Bytes: 7}, {Open: true, Bytes: 8}}}, func(t *T) { t.Flowing(Client, "s") }, ""},
		"counted late":               {fake{counts: []int{1, 1, 2}}, func(t *T) { t.DenialsReach(Client, "smi-apps/server", 2) }, ""},
		"counted too often":          {fake{counts: []int{1, 3}}, func(t *T) { t.DenialsReach(Client, "smi-apps/server", 2) }, "2 were to be counted, and 3 are"},
	} {
		t.Run(name, func(t *testing.T) {
			c.fake.t = t
			got := c.fake.failures(time.Minute, c.do)
			switch {
			case c.complaint == "" && len(got) > 0:
				t.Errorf("it holds, and yet: %q", got)
			case c.complaint != "" && (len(got) == 0 || !strings.Contains(got[0], c.complaint)):
				t.Errorf("complaints %q, none of which is %q", got, c.complaint)
			}
		})
	}
}

// TestWaitingEnds sees that what never comes is not waited for beyond the case.
func TestWaitingEnds(t *testing.T) {
	f := &fake{t: t, counts: []int{1}}
	got := f.failures(200*time.Millisecond, func(t *T) { t.DenialsReach(Client, "smi-apps/server", 2) })
	if len(got) != 1 || !strings.Contains(got[0], "2 were to be counted, and 1 are") {
		t.Errorf("%q", got)
	}
}
