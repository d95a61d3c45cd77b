package conformance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/report"
)

// TestSameObject sees that of cases which run together none displaces what another
// one has applied.
func TestSameObject(t *testing.T) {
	f := newFake(t, allowing)
	begun, ended := make(chan struct{}), make(chan struct{})
	slow := caseOf("AC-1-slow", func(c *T) {
		c.Apply("one.yaml")
		close(begun)
		<-ended
		c.Allowed(request)
	})
	slow.Slow = true
	out := f.run(Options{}, slow, caseOf("AC-1-a", func(c *T) {
		defer close(ended)
		<-begun
		c.Apply("two.yaml")
		c.Allowed(request)
		c.TryApply("one.yaml")
	}), caseOf("AC-1-b", func(c *T) {
		c.Apply("one.yaml")
		c.Allowed(request)
	}))
	held(t, out.Results[0], "")
	held(t, out.Results[1], "TrafficTarget smi-apps/one is applied by AC-1-slow already")
	// The last one applies it when nobody else does, or is told as well.
	if r := out.Results[2]; r.Outcome == report.Failed && !strings.Contains(r.Reason, "is applied by AC-1-slow already") {
		t.Errorf("the case has %s: %s", r.Outcome, r.Reason)
	}
}

// TestTakenBack sees that a mesh which takes objects one by one is left with none
// of those that came with a refused one.
func TestTakenBack(t *testing.T) {
	refused := &Refused{Object: "TrafficTarget smi-apps/refused", Reason: "no good"}
	for name, test := range map[string]struct {
		back error // what the mesh answers when it is to go back
		want string
	}{
		"it goes back":  {},
		"it does not":   {errors.New("a proxy is gone"), "the mesh does not go back after TrafficTarget smi-apps/refused was refused (no good): a proxy is gone"},
		"it never does": {refused, "the mesh does not go back"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, allowing)
			half := false // an object that came before the refused one is applied
			f.follow = func(objects map[key]*unstructured.Unstructured) error {
				switch {
				case objects[key{"TrafficTarget", Apps, "refused"}] != nil:
					half = true
					return refused
				case half && test.back != nil:
					return test.back
				}
				half = false
				return nil
			}
			got := f.one(func(c *T) {
				c.Apply("one.yaml")
				if c.TryApply("two.yaml", "refused.yaml") {
					t.Error("what was refused is said to be applied")
				}
				f.mu.Lock()
				if half {
					t.Error("the mesh is left in between")
				}
				f.mu.Unlock()
				if !f.has("TrafficTarget", "one") || f.has("TrafficTarget", "two") {
					t.Error("not everything is as before")
				}
				c.Allowed(request)
			})
			held(t, got, test.want)
		})
	}
}

// TestObjectsOfTargets sees that targets may change what they get, and find what
// others refer to before them.
func TestObjectsOfTargets(t *testing.T) {
	f := newFake(t, allowing)
	applied := 0
	f.watch = func(_ context.Context, objects []*unstructured.Unstructured) {
		applied++
		var kinds []string
		for _, o := range objects {
			if o.GetLabels()["spoilt"] != "" {
				t.Errorf("%s was changed by the target and is given again", keyOf(o))
			}
			o.SetLabels(map[string]string{"spoilt": "yes"})
			if o.GetKind() != "Namespace" {
				kinds = append(kinds, o.GetKind())
			} else if len(kinds) > 0 {
				t.Errorf("a Namespace comes after a %s", kinds[0])
			}
		}
		order := slices.Compact(kinds)
		want := []string{"ServiceAccount", "Service", "Deployment", "HTTPRouteGroup", "TCPRoute", "UDPRoute", "TrafficTarget"}
		if !slices.Equal(order, want) {
			t.Errorf("kinds come in the order %v; wanted %v", order, want)
		}
	}
	held(t, f.one(func(t *T) {
		t.Apply("one.yaml")
		t.Apply("two.yaml")
		t.Allowed(request)
	}), "")
	if applied != 4 {
		t.Errorf("%d times objects were handed over; wanted 4", applied)
	}
	if inOrderOfUse(key{kind: "TrafficTarget"}, key{kind: "TrafficSplit"}) >= 0 || inOrderOfUse(key{kind: "TrafficSplit"}, key{kind: "IdentityBinding"}) <= 0 {
		t.Error("splits are to come last")
	}
}

// TestControlOfTransports sees that a mesh gets no control routes of what it does
// not claim, and is asked for none.
func TestControlOfTransports(t *testing.T) {
	for name, capability := range map[string]report.Capability{"claimed": report.Full, "not claimed": report.None} {
		claim := everything()
		claim.Features[AccessTCP.Name] = capability
		base, err := baseFor(claim)
		if err != nil {
			t.Fatal(err)
		}
		claimed := capability == report.Full
		for _, k := range []key{{"TCPRoute", Apps, "control"}, {"TrafficTarget", Apps, "control-server-tcp"}, {"TrafficTarget", Apps, "control-vault-tcp"}} {
			if (base[k] != nil) != claimed {
				t.Errorf("%s: %s is there: %t", name, k, base[k] != nil)
			}
		}
		if base[key{"TrafficTarget", Apps, "control-server"}] == nil || base[key{"UDPRoute", Apps, "control"}] == nil {
			t.Errorf("%s: what is claimed is missing", name)
		}
		asks := &T{run: &run{claim: claim}}
		if asks.grantsControl(Client.TCP("server", 9000)) != claimed || asks.grantsControl(Client.TCP("server", 8080)) {
			t.Errorf("%s: control requests are sent where none is granted, or none where one is", name)
		}
	}
}

// TestSessionsApart sees that cases which call sessions alike have each its own,
// and that the end of one closes none of the other's.
func TestSessionsApart(t *testing.T) {
	f := newFake(t, allowing)
	begun, ended := make(chan struct{}), make(chan struct{})
	session := func(c *T) { c.Allowed(request.On("same")) }
	slow := caseOf("AC-1-slow", func(c *T) {
		session(c)
		close(begun)
		<-ended
		c.Open(Client, "same")
	})
	slow.Slow = true
	out := f.run(Options{}, slow, caseOf("AC-1-a", func(c *T) {
		<-begun
		if _, err := c.run.driver(Client).Session(t.Context(), c.session("same")); err == nil {
			t.Error("the session of another case is there")
		}
		session(c)
	}), caseOf("AC-1-b", func(c *T) {
		defer close(ended)
		if _, err := c.run.driver(Client).Session(t.Context(), "AC-1-a:same"); err == nil {
			t.Error("the session of a case outlives it")
		}
		session(c)
	}))
	if out.Summary != (report.Summary{Passed: 3}) {
		t.Errorf("%+v", out.Results)
	}
}

// TestEndOfCases sees that a case which has used up its time, or panics, fails
// alone, and that what it left is taken away under a bound that is not its own.
func TestEndOfCases(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(*T)
		want string
	}{
		"takes too long":      {func(t *T) { <-t.ctx.Done() }, "the case took longer than 50ms"},
		"panics":              {func(*T) { panic("no index 7") }, "the case panics: no index 7"},
		"compares too much":   {func(t *T) { t.Shares(request, sharesOf(maxComparisons+1)) }, "compares more than 100 shares"},
		"does not go on":      {func(t *T) { t.Fatalf("that was it") }, "that was it"},
		"waits for too much":  {func(t *T) { t.Age() }, "the case took longer than 50ms"},
		"ends of itself":      {func(t *T) { t.Allowed(request) }, ""},
		"applies all the way": {func(t *T) { t.Apply("two.yaml"); t.Allowed(request) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, allowing)
			var atEnd []bool // in each Apply: the context is bounded and not over
			f.watch = func(ctx context.Context, _ []*unstructured.Unstructured) {
				_, bounded := ctx.Deadline()
				atEnd = append(atEnd, bounded && ctx.Err() == nil)
			}
			options := Options{}
			if strings.Contains(test.want, "longer") {
				options.CaseTime = 50 * time.Millisecond
			}
			out := f.run(options, caseOf("AC-1-a", func(c *T) {
				c.Apply("one.yaml")
				test.run(c)
			}))
			held(t, out.Results[0], test.want)
			if !atEnd[len(atEnd)-1] || f.has("TrafficTarget", "one") {
				t.Error("the end of the case has no bound of its own, or leaves something")
			}
		})
	}
	f := newFake(t, allowing)
	out := f.run(Options{}, caseOf("AC-1-a", func(*T) { panic("no index 7") }), caseOf("AC-1-b", succeeds))
	held(t, out.Results[1], "")
}

func sharesOf(n int) map[string]float64 {
	shares := map[string]float64{}
	for i := range n {
		shares[strings.Repeat("a", i+1)] = 1 / float64(n)
	}
	return shares
}

// TestWaitingForOthers sees that the time in which others apply is not a case's,
// and that the time in which its own policy is applied is.
func TestWaitingForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{target: &scripted{tb: t}, turn: make(chan struct{}, 1), active: map[*T]map[key]*unstructured.Unstructured{}}
		c := &T{run: r}
		c.ctx, c.clock = startClock(t.Context(), time.Minute)
		r.turn <- struct{}{}
		go func() {
			<-time.After(time.Hour)
			<-r.turn
		}()
		if err := c.become(nil); err != nil || c.ctx.Err() != nil {
			t.Errorf("after an hour for others, and none of its own: %v, %v", err, context.Cause(c.ctx))
		}
		<-time.After(59 * time.Second)
		if c.ctx.Err() != nil {
			t.Errorf("after 59 s of its own: %v", context.Cause(c.ctx))
		}
		if err := r.inTurn(c.ctx, func() error { <-time.After(2 * time.Second); return nil }); err != nil {
			t.Error(err)
		}
		if _, late := errors.AsType[*tooLong](context.Cause(c.ctx)); !late {
			t.Errorf("after 61 s of its own: %v; wanted it to be too long", context.Cause(c.ctx))
		}
		if err := c.become(nil); err == nil {
			t.Error("what is over applies")
		}
		c.clock.end()
	})
}
