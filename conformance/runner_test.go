package conformance

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/report"
)

// allowing answers everything as the server.
func allowing(_ string, w http.ResponseWriter, _ *http.Request) { application(w, "smi-apps/server") }

// request is what most cases here send.
var request = Client.Get("server", 80, "/")

// succeeds and fails are cases that do.
func succeeds(t *T) { t.Allowed(request) }
func fails(t *T)    { t.Denied(request) }

func TestClaims(t *testing.T) {
	c := caseOf("AC-1-one", fails)
	c.Features = []Feature{AccessHTTP, GRPC}
	c.APIs = []string{"split.smi-spec.io/v1alpha4"}
	for name, test := range map[string]struct {
		http, grpc report.Capability
		apis       []string
		except     string
		want       report.Outcome
		reason     string
	}{
		"full":                 {report.Full, report.Full, c.APIs, "", report.Failed, "wanted a denial"},
		"one is none":          {report.Full, report.None, c.APIs, "", report.NotClaimed, "does not claim grpc"},
		"one is unnamed":       {report.Full, "", c.APIs, "", report.NotClaimed, "does not claim grpc"},
		"partial, excepted":    {report.Partial, report.Full, c.APIs, "AC-1-one", report.NotClaimed, "for a reason"},
		"partial, another one": {report.Partial, report.Full, c.APIs, "AC-1-other", report.Failed, "wanted a denial"},
		"no such API":          {report.Full, report.Full, []string{"split.smi-spec.io/v1alpha1"}, "", report.NotClaimed, "split.smi-spec.io/v1alpha4"},
	} {
		t.Run(name, func(t *testing.T) {
			claim := &Claim{APIs: test.apis, Features: map[string]report.Capability{"access-http": test.http}, Except: map[string]string{}}
			if test.grpc != "" {
				claim.Features["grpc"] = test.grpc
			}
			if test.except != "" {
				claim.Except[test.except] = "for a reason"
			}
			other := caseOf("AC-1-other", succeeds)
			got := newFake(t, allowing).runAs(claim, Options{Select: func(k *Case) bool { return k == c }}, c, other)
			if r := got.Results[0]; r.Outcome != test.want || !strings.Contains(r.Reason, test.reason) {
				t.Errorf("%s, because of %q; wanted %s because of %q", r.Outcome, r.Reason, test.want, test.reason)
			}
			i := slices.IndexFunc(got.Features, func(f report.Feature) bool { return f.Name == "grpc" })
			var want report.Summary
			want.Add(test.want)
			if got.Summary != want || got.Features[i].Summary != want {
				t.Errorf("the report counts %+v, and for the feature %+v; wanted %+v", got.Summary, got.Features[i].Summary, want)
			}
		})
	}
}

func TestClaimsThatMeanNothing(t *testing.T) {
	for name, claim := range map[string]*Claim{
		"access-smtp":          {Features: map[string]report.Capability{"access-smtp": report.Full}},
		"mostly":               {Features: map[string]report.Capability{"access-http": "mostly"}},
		"there is none":        nil,
		"no case \"AC-1-two\"": {Features: map[string]report.Capability{"access-http": report.Partial}, Except: map[string]string{"AC-1-two": "for a reason"}},
		"claimed in part": {
			Features: map[string]report.Capability{"access-http": report.Full, "grpc": report.Partial},
			Except:   map[string]string{"AC-1-one": "for a reason"},
		},
		"say why": {Features: map[string]report.Capability{"access-http": report.Partial}, Except: map[string]string{"AC-1-one": " "}},
	} {
		if _, err := Run(t.Context(), newFake(t, allowing), suiteOf(caseOf("AC-1-one", succeeds)), claim, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; wanted a complaint about %s", err, name)
		}
	}
}

// TestFailFast sees that what is ended with the first failure is not said to have
// failed too.
func TestFailFast(t *testing.T) {
	for fast, want := range map[bool][]string{false: {"AC-1-a", "AC-1-b", "AC-1-c", "AC-1-slow"}, true: {"AC-1-a", "AC-1-b"}} {
		var told, got []string
		last := make(chan struct{})
		slow := caseOf("AC-1-slow", func(t *T) {
			select {
			case <-last:
			case <-t.ctx.Done():
			}
			t.Allowed(request)
		})
		slow.Slow = true
		out := newFake(t, allowing).run(Options{FailFast: fast, Progress: func(r report.Result) { told = append(told, r.ID) }},
			caseOf("AC-1-a", succeeds), caseOf("AC-1-b", fails), caseOf("AC-1-c", func(t *T) {
				close(last)
				succeeds(t)
			}), slow)
		slices.Sort(told) // the slow case and the last one end together
		for _, r := range out.Results {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) || !slices.Equal(told, want) {
			t.Errorf("with FailFast %t, %v are reported and %v were told of; wanted %v", fast, got, told, want)
		}
	}
}

func TestSelect(t *testing.T) {
	out := newFake(t, allowing).run(Options{Select: func(c *Case) bool { return c.ID == "AC-1-b" }}, caseOf("AC-1-a", fails), caseOf("AC-1-b", succeeds))
	if len(out.Results) != 1 || out.Results[0].ID != "AC-1-b" || out.Summary != (report.Summary{Passed: 1}) {
		t.Errorf("%+v ran; wanted the selected case alone", out.Results)
	}
	if out.Suite.Cases != 2 {
		t.Errorf("the suite is said to have %d cases; wanted 2, however many were selected", out.Suite.Cases)
	}
}

func TestEvidence(t *testing.T) {
	f := newFake(t, controlled(func(_ string, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/closed" {
			refuse(w, http.StatusForbidden)
			return
		}
		application(w, "smi-apps/server")
	}))
	got := f.one(func(t *T) {
		t.Allowed(request)
		t.Denied(request.Path("/closed"))
		t.Always(request, 10, "smi-apps/other")
	})
	want := []report.Evidence{
		{From: "smi-apps/client", What: "GET http://server.smi-apps:80/", Sent: 1, Answers: map[string]int{"200 from smi-apps/server": 1}, Held: true},
		{From: "smi-apps/client", What: "GET http://server.smi-apps:80/closed", Sent: 1, Answers: map[string]int{"403": 1}, Held: true},
		{From: "smi-apps/client", What: "GET http://server.smi-apps:80/", Sent: 10, Answers: map[string]int{"200 from smi-apps/server": 10}},
	}
	if len(got.Evidence) != len(want) {
		t.Fatalf("%d observations are kept; wanted %d", len(got.Evidence), len(want))
	}
	if got.Evidence[0].Controls != 0 || got.Evidence[1].Controls != 2 {
		t.Errorf("%d and %d controls are said to have succeeded; wanted 0 and 2", got.Evidence[0].Controls, got.Evidence[1].Controls)
	}
	for i, w := range want {
		e := got.Evidence[i]
		if e.From != w.From || e.What != w.What || e.Sent != w.Sent || !maps.Equal(e.Answers, w.Answers) || e.Held != w.Held || e.Wanted == "" || (e.Detail == "") != w.Held {
			t.Errorf("observation %d is %+v; wanted %+v, with a detail exactly where it did not hold", i, e, w)
		}
	}
	if got.Outcome != report.Failed {
		t.Errorf("the case is said to have %s although its last observation did not hold", got.Outcome)
	}
}

func TestCaseThatObservesNothing(t *testing.T) {
	f := newFake(t, allowing)
	for name, run := range map[string]func(*T){"nothing": func(*T) {}, "sends only": func(t *T) { t.Send(request, 1) }} {
		if got := f.one(run); got.Outcome != report.Failed || !strings.Contains(got.Reason, "observed nothing") {
			t.Errorf("a case that does %s has %s: %s", name, got.Outcome, got.Reason)
		}
	}
}

// refusing does not take one object.
func refusing(objects map[key]*unstructured.Unstructured) error {
	if objects[key{"TrafficTarget", Apps, "refused"}] != nil {
		return &Refused{Object: "TrafficTarget smi-apps/refused", Reason: "no good"}
	}
	return nil
}

func TestRefusedObject(t *testing.T) {
	f := newFake(t, allowing)
	f.follow = refusing
	went := false
	got := f.one(func(t *T) {
		t.Allowed(request)
		t.Apply("refused.yaml")
		went = true
	})
	if got.Outcome != report.Failed || !strings.Contains(got.Reason, "refused was refused: no good") || went {
		t.Errorf("the case has %s and went on: %t, because of %q; wanted it to end with the mesh's reason", got.Outcome, went, got.Reason)
	}
	got = f.one(func(c *T) {
		if c.TryApply("refused.yaml") || f.has("TrafficTarget", "refused") {
			t.Error("a refused object is said to be applied")
		}
		c.Apply("one.yaml")
		if c.TryApply("refused.yaml") || !f.has("TrafficTarget", "one") {
			t.Error("a refused object took another one away")
		}
		if !c.TryApply("two.yaml") || !f.has("TrafficTarget", "two") {
			t.Error("what is not refused is not applied")
		}
		c.Allowed(request)
	})
	if got.Outcome != report.Passed {
		t.Errorf("the case has %s: %s", got.Outcome, got.Reason)
	}
}

func TestMeshThatDoesNotFollow(t *testing.T) {
	f := newFake(t, allowing)
	f.follow = func(objects map[key]*unstructured.Unstructured) error {
		if objects[key{"TrafficTarget", Apps, "one"}] != nil {
			return errors.New("a proxy is gone")
		}
		return nil
	}
	got := f.one(func(t *T) {
		t.Allowed(request)
		t.TryApply("one.yaml")
	})
	if got.Outcome != report.Failed || !strings.Contains(got.Reason, "does not follow: a proxy is gone") {
		t.Errorf("the case has %s, because of %q; wanted a failure: not to follow is not to refuse", got.Outcome, got.Reason)
	}
}

func TestCasesLeaveNothing(t *testing.T) {
	f := newFake(t, allowing)
	out := f.run(Options{}, caseOf("AC-1-a", func(c *T) {
		c.Apply("one.yaml", "two.yaml")
		c.Remove("TrafficTarget", "one")
		if f.has("TrafficTarget", "one") || !f.has("TrafficTarget", "two") {
			t.Error("Remove took another object away than the one named")
		}
		c.WithoutControl()
		if f.has("TrafficTarget", "control-server") || !f.has("TrafficTarget", "control-"+slowServer) {
			t.Error("without control, exactly the slow cases' control is to stay")
		}
		c.Allowed(request)
		c.Remove("TrafficTarget", "one")
		t.Error("what is not there was removed")
	}), caseOf("AC-1-b", func(c *T) {
		if f.has("TrafficTarget", "two") || !f.has("TrafficTarget", "control-server") {
			t.Error("the case before left something, or took something away for good")
		}
		c.Allowed(request)
	}))
	if out.Results[0].Outcome != report.Failed || out.Results[1].Outcome != report.Passed {
		t.Errorf("the results are %+v; wanted the first to fail for what it removed twice", out.Results)
	}
}

// TestSlowCases sees that a slow case and others are under way together, each with
// its own objects, and that the end of one takes nothing from the other.
func TestSlowCases(t *testing.T) {
	f := newFake(t, allowing)
	begun, ended := make(chan struct{}), make(chan struct{})
	slow := caseOf("AC-1-slow", func(c *T) {
		c.Apply("one.yaml")
		close(begun)
		<-ended
		if !f.has("TrafficTarget", "one") || f.has("TrafficTarget", "two") {
			t.Error("the end of a case took from a slow one, or left something to it")
		}
		c.Allowed(request)
	})
	slow.Slow = true
	out := f.run(Options{}, slow, caseOf("AC-1-a", func(c *T) {
		<-begun
		c.Apply("two.yaml")
		if !f.has("TrafficTarget", "one") || !f.has("TrafficTarget", "two") {
			t.Error("what one case applied displaced what the other did")
		}
		c.Allowed(request)
	}), caseOf("AC-1-b", func(c *T) {
		c.Allowed(request)
		close(ended)
	}))
	if out.Summary != (report.Summary{Passed: 3}) {
		t.Errorf("%+v", out.Results)
	}
}

// TestRefusedBeside sees that what a mesh refused a slow case is in nobody's way.
func TestRefusedBeside(t *testing.T) {
	f := newFake(t, allowing)
	f.follow = refusing
	begun, ended := make(chan struct{}), make(chan struct{})
	slow := caseOf("AC-1-slow", func(c *T) {
		c.TryApply("refused.yaml")
		close(begun)
		<-ended
		c.Allowed(request)
	})
	slow.Slow = true
	out := f.run(Options{}, slow, caseOf("AC-1-a", func(c *T) {
		defer close(ended)
		<-begun
		c.Apply("one.yaml")
		c.Allowed(request)
	}))
	if out.Summary != (report.Summary{Passed: 2}) {
		t.Errorf("%+v", out.Results)
	}
}

// TestEndsTogether sees that what a case leaves is gone when the next one observes
// anything, and that it is taken away together with what that one applies.
func TestEndsTogether(t *testing.T) {
	for name, test := range map[string]struct {
		next    func(*T)
		applied int // how often, with the fixture and the end of the run
	}{
		"the next one applies":  {func(c *T) { c.Apply("two.yaml") }, 4},
		"the next one observes": {func(*T) {}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(_ string, w http.ResponseWriter, _ *http.Request) { application(w, "smi-apps/server") })
			applied := 0
			f.watch = func(context.Context, []*unstructured.Unstructured) { applied++ }
			out := f.run(Options{}, caseOf("AC-1-a", func(c *T) {
				c.Apply("one.yaml")
				c.Allowed(request)
			}), caseOf("AC-1-b", func(c *T) {
				test.next(c)
				c.Allowed(request)
				if f.has("TrafficTarget", "one") {
					t.Error("the case before has left something")
				}
			}))
			if out.Summary != (report.Summary{Passed: 2}) || applied != test.applied {
				t.Errorf("%s, and objects were handed over %d times; wanted %d", out.Summary, applied, test.applied)
			}
		})
	}
}

// TestNeeds sees that what a target cannot do is no failure of the mesh.
func TestNeeds(t *testing.T) {
	c := caseOf("ID-2-one", fails)
	c.Needs = []Ability{Forging}
	got := newFake(t, allowing).run(Options{}, c).Results[0]
	if got.Outcome != report.NotClaimed || !strings.Contains(got.Reason, "this target cannot "+string(Forging)) {
		t.Errorf("%s, because of %q; wanted it not to be claimed", got.Outcome, got.Reason)
	}
}
