package conformance

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// held expects a result to have passed, or to have failed for a reason.
func held(t *testing.T, got report.Result, reason string) {
	t.Helper()
	switch {
	case reason == "" && got.Outcome != report.Passed:
		t.Errorf("the case has %s: %s", got.Outcome, got.Reason)
	case reason != "" && (got.Outcome != report.Failed || !strings.Contains(got.Reason, reason)):
		t.Errorf("the case has %s, because of %q; wanted a failure because of %q", got.Outcome, got.Reason, reason)
	}
}

func TestDenialOfRequests(t *testing.T) {
	for name, test := range map[string]struct {
		status      int
		application bool
		outage      bool
		want        string
	}{
		"a denial":                      {status: 403},
		"a denial without control":      {status: 403, outage: true, want: "there is an outage"},
		"an outage":                     {status: 503, outage: true, want: "not a 403 of the mesh"},
		"an outage for the client only": {status: 503, want: "not a 403 of the mesh"},
		"an answer":                     {status: 200, application: true, want: "not a 403 of the mesh"},
		"a 403 of the application":      {status: 403, application: true, want: "not a 403 of the mesh"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(from string, w http.ResponseWriter, _ *http.Request) {
				if from == string(Control) && !test.outage || from != string(Control) && test.application {
					application(w, "smi-apps/server")
				}
				if from == string(Control) {
					if test.outage {
						refuse(w, http.StatusServiceUnavailable)
					}
					return
				}
				w.WriteHeader(test.status)
			})
			held(t, f.one(func(t *T) { t.Denied(request) }), test.want)
		})
	}
}

// TestControlOnBothSides sees that a mesh which breaks down at the denied request,
// or comes up with it, is told from one that denies it.
func TestControlOnBothSides(t *testing.T) {
	for name, atFirst := range map[string]bool{"breaks down": true, "comes up": false} {
		t.Run(name, func(t *testing.T) {
			var up atomic.Bool
			up.Store(atFirst)
			f := newFake(t, func(from string, w http.ResponseWriter, _ *http.Request) {
				switch {
				case from != string(Control):
					up.Store(!atFirst)
					refuse(w, http.StatusForbidden)
				case up.Load():
					application(w, "smi-apps/server")
				default:
					refuse(w, http.StatusServiceUnavailable)
				}
			})
			held(t, f.one(func(t *T) { t.Denied(request) }), "there is an outage")
		})
	}
}

// closed is a connection that is closed at once, after the bytes given.
func closed(text string) net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		buffer := make([]byte, 64)
		if _, err := theirs.Read(buffer); err == nil {
			_, _ = io.WriteString(theirs, text)
		}
	}()
	return ours
}

// lineOf is a connection to the server: what is sent is answered with its name.
func lineOf() net.Conn { return closed(`{"pod":"smi-apps/server"}` + "\n") }

func TestDenialOfConnections(t *testing.T) {
	for name, test := range map[string]struct {
		dial func() (net.Conn, error)
		serv http.HandlerFunc
		down bool // the control client's connections are as the client's
		want string
	}{
		"closed":          {dial: func() (net.Conn, error) { return closed(""), nil }},
		"closed for all":  {dial: func() (net.Conn, error) { return closed(""), nil }, down: true, want: "there is an outage: closed"},
		"no way":          {dial: func() (net.Conn, error) { return nil, errors.New("no such host") }, want: "no connection was made"},
		"refused":         {dial: func() (net.Conn, error) { return nil, syscall.ECONNREFUSED }, want: "no connection was made, as in an outage: refused"},
		"refused for all": {dial: func() (net.Conn, error) { return nil, syscall.ECONNREFUSED }, down: true, want: "there is an outage: refused"},
		"after a byte":    {dial: func() (net.Conn, error) { return closed("x"), nil }, want: "not closed without a byte"},
		"after an answer": {dial: func() (net.Conn, error) { return closed(`{"pod":"smi-apps/server"}` + "\n"), nil },
			want: "not closed without a byte"},
		"an outage": {
			dial: func() (net.Conn, error) { return closed(""), nil },
			serv: func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusServiceUnavailable) },
			want: "there is an outage",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(_ string, w http.ResponseWriter, r *http.Request) {
				if test.serv != nil {
					test.serv(w, r)
					return
				}
				application(w, "smi-apps/server")
			})
			f.dial = func(from, address string) (net.Conn, error) {
				switch {
				case !strings.HasSuffix(address, ":9000"):
					return nil, nil
				case from == string(Control) && !test.down:
					return lineOf(), nil
				}
				return test.dial()
			}
			held(t, f.one(func(t *T) { t.Denied(Client.TCP("server", 9000)) }), test.want)
		})
	}
}

// TestDenialByScript tries what a played mesh does not do in a short time.
func TestDenialByScript(t *testing.T) {
	for name, answer := range map[string]driver.Answer{"it hangs": {TimedOut: true}, "a greeting leaks": {Closed: true, Body: "220"}} {
		s := &scripted{tb: t, answers: []driver.Answer{answer}}
		got := s.complaints(time.Minute, func(t *T) { t.Denied(Client.TCP("server", 9000)) })
		if len(got) != 1 || !strings.Contains(got[0], "not closed without a byte") {
			t.Errorf("%s: complaints %q", name, got)
		}
	}
}

// TestUnreached sees that a client is not said to be kept out of what is down.
func TestUnreached(t *testing.T) {
	refused := func(_ string, w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden) }
	unreached := func(t *T) { t.Unreached(request) }
	held(t, newFake(t, controlled(refused)).one(unreached), "")
	held(t, newFake(t, refused).one(unreached), "there is an outage")
	held(t, newFake(t, allowing).one(unreached), "it reached the application")
}

// TestStranger sees that a client outside the mesh counts as kept out only where it
// can reach what it may, and finds somebody who keeps it out.
func TestStranger(t *testing.T) {
	for name, test := range map[string]struct {
		plain, server error // of the stranger's connections
		want          string
	}{
		"kept out":       {},
		"refused":        {server: syscall.ECONNREFUSED},
		"cannot call":    {plain: syscall.ECONNREFUSED, want: "smi-outside/stranger: wanted an answer to the control request"},
		"finds no way":   {server: errors.New("no route"), want: "it found nobody to keep it out"},
		"waits for long": {server: context.DeadlineExceeded, want: "it found nobody to keep it out"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, controlled(func(_ string, w http.ResponseWriter, r *http.Request) {
				if r.Host == plain {
					application(w, "smi-outside/plain")
					return
				}
				refuse(w, http.StatusForbidden)
			}))
			f.dial = func(from, address string) (net.Conn, error) {
				switch {
				case from != string(Stranger):
					return nil, nil
				case strings.HasPrefix(address, "reach-"+plain):
					return nil, test.plain
				case strings.HasPrefix(address, "reach-"):
					return nil, test.server
				}
				return nil, errors.New("what it connects to is not translated")
			}
			got := f.one(func(t *T) { t.Unreached(Stranger.Get("server", 80, "/")) })
			held(t, got, test.want)
			if test.want == "" && got.Evidence[0].Controls != 4 {
				t.Errorf("%d controls are said to have succeeded; wanted one of the mesh and one of the stranger, before and after", got.Evidence[0].Controls)
			}
		})
	}
	// What goes on during a change goes the same way.
	f := newFake(t, allowing)
	f.dial = func(from, address string) (net.Conn, error) {
		if from == string(Stranger) && !strings.HasPrefix(address, "reach-server.smi-apps:") {
			return nil, errors.New("what it connects to is not translated")
		}
		return nil, nil
	}
	held(t, f.one(func(t *T) {
		t.During(Stranger.Get("server", 80, "/"), []string{"smi-apps/server"}, func() {})
	}), "")
}

// TestWithoutControl sees that a mesh in which nobody is granted anything can be
// tested.
func TestWithoutControl(t *testing.T) {
	f := newFake(t, func(_ string, w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden) })
	held(t, f.one(func(t *T) {
		t.WithoutControl()
		t.Denied(request)
	}), "")
}

func TestAllowed(t *testing.T) {
	for status, want := range map[int]string{200: "", 204: "", 299: "", 403: "did not succeed", 500: "did not succeed", 302: "did not succeed"} {
		f := newFake(t, func(_ string, w http.ResponseWriter, _ *http.Request) {
			application(w, "smi-apps/server")
			w.WriteHeader(status)
		})
		held(t, f.one(func(t *T) { t.Allowed(request) }), want)
	}
	f := newFake(t, func(string, http.ResponseWriter, *http.Request) {})
	held(t, f.one(func(t *T) { t.Allowed(request) }), "no application answered")
	f = newFake(t, allowing)
	held(t, f.one(func(t *T) { t.AllowedAt(request, "smi-apps/other") }), "somebody else answered")
}

// TestSuccess sees that neither a failure of the right workload nor half an answer
// of it is taken for an answer.
func TestSuccess(t *testing.T) {
	const server = "smi-apps/server"
	for what, serve := range map[string]http.HandlerFunc{
		"a failure": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		},
	} {
		f := newFake(t, func(_ string, w http.ResponseWriter, r *http.Request) {
			application(w, server)
			serve(w, r)
		})
		for name, expect := range map[string]func(*T){
			"Allowed":   func(t *T) { t.Allowed(request) },
			"AllowedAt": func(t *T) { t.AllowedAt(request, server) },
			"Always":    func(t *T) { t.Always(request, 20, server) },
			"Shares":    func(t *T) { t.Shares(request, map[string]float64{server: 1}) },
			"During":    func(t *T) { t.During(request, []string{server}, func() {}) },
			"HTTP/2":    func(t *T) { t.Allowed(request.HTTP2()) },
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				if got := f.one(expect); got.Outcome != report.Failed {
					t.Errorf("the case has %s: %+v", got.Outcome, got.Evidence)
				}
			})
		}
	}
}

// byTurns answers requests in the shares given: of the first k, k times its share
// by each, but for one more or less. Nobody answers what is left.
func byTurns(shares map[string]float64) func(string, http.ResponseWriter, *http.Request) {
	var sent atomic.Int64
	names := slices.Sorted(maps.Keys(shares))
	return func(_ string, w http.ResponseWriter, _ *http.Request) {
		const turn = 1000
		// 389 has no factor in common with a thousand, so that shares mix.
		at, until := float64(sent.Add(1)*389%turn)/turn, 0.0
		for _, name := range names {
			if until += shares[name]; at < until-1e-9 {
				application(w, name)
				return
			}
		}
		refuse(w, http.StatusServiceUnavailable)
	}
}

func TestShares(t *testing.T) {
	const a, b, c = "smi-apps/a", "smi-apps/b", "smi-apps/c"
	for name, test := range map[string]struct {
		served, wanted map[string]float64
		want           string
	}{
		"right":              {map[string]float64{a: 0.75, b: 0.25}, map[string]float64{a: 0.75, b: 0.25}, ""},
		"a little off":       {map[string]float64{a: 0.76, b: 0.24}, map[string]float64{a: 0.75, b: 0.25}, ""},
		"five points off":    {map[string]float64{a: 0.70, b: 0.30}, map[string]float64{a: 0.75, b: 0.25}, "smi-apps/a got 70."},
		"the other way":      {map[string]float64{a: 0.25, b: 0.75}, map[string]float64{a: 0.75, b: 0.25}, "smi-apps/b got 7"},
		"somebody else":      {map[string]float64{a: 0.75, b: 0.249, c: 0.001}, map[string]float64{a: 0.75, b: 0.25}, "smi-apps/c got"},
		"a failure":          {map[string]float64{a: 0.75, b: 0.249}, map[string]float64{a: 0.75, b: 0.25}, "got no answer of an application"},
		"a share that fails": {map[string]float64{a: 0.75}, map[string]float64{a: 0.75}, ""},
		"nothing fails":      {map[string]float64{a: 1}, map[string]float64{a: 0.75}, "smi-apps/a got 100.0 %"},
		"it goes elsewhere":  {map[string]float64{a: 0.75, b: 0.25}, map[string]float64{a: 0.75}, "smi-apps/b got"},
		"nobody":             {nil, map[string]float64{a: 0.9, b: 0.1}, "smi-apps/b got 0.0 %"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, byTurns(test.served))
			held(t, f.one(func(t *T) { t.Shares(request, test.wanted) }), test.want)
		})
	}
}

func TestAlwaysAndMixed(t *testing.T) {
	const a, b = "smi-apps/a", "smi-apps/b"
	f := newFake(t, byTurns(map[string]float64{a: 0.9, b: 0.1}))
	held(t, f.one(func(t *T) { t.Always(request, 60, a) }), "were not")
	held(t, f.one(func(t *T) { t.Mixed(request, 60, "200 from "+a, "200 from "+b) }), "")
	held(t, f.one(func(t *T) { t.Mixed(request, 60, "200 from "+a) }), "were 200 from "+b)
	held(t, f.one(func(t *T) { t.Mixed(request, 60, "200 from "+a, "200 from "+b, "503") }), "none was 503")
	f = newFake(t, byTurns(map[string]float64{a: 1}))
	held(t, f.one(func(t *T) { t.Always(request, 60, a) }), "")
}

// TestDuring sees that what happens while the policy changes is seen, though it
// has passed when the change is made.
func TestDuring(t *testing.T) {
	const before, after = "smi-apps/before", "smi-apps/after"
	for name, test := range map[string]struct {
		between http.HandlerFunc
		want    string
	}{
		"nothing":       {nil, ""},
		"a failure":     {func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusServiceUnavailable) }, "failed, the first with 503"},
		"somebody else": {func(w http.ResponseWriter, _ *http.Request) { application(w, "smi-apps/else") }, "smi-apps/else got"},
		"a closed one": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			application(w, before)
		}, "is not open"},
		"an aborted call": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "failed, the first with closed"},
	} {
		t.Run(name, func(t *testing.T) {
			var state atomic.Int64
			seen := make(chan struct{}, 1)
			f := newFake(t, func(_ string, w http.ResponseWriter, r *http.Request) {
				now := state.Load()
				if now == 1 {
					select {
					case seen <- struct{}{}:
					default:
					}
				}
				switch {
				case now == 0:
					application(w, before)
				case now == 1 && test.between != nil:
					test.between(w, r)
				default:
					application(w, after)
				}
			})
			held(t, f.one(func(c *T) {
				c.During(request, []string{before, after}, func() {
					state.Store(1)
					<-seen
					state.Store(2)
				})
			}), test.want)
		})
	}
}
