package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// T is a case under way: it applies policy, sends calls, and keeps what it saw.
// Expectations that do not hold are kept too, and the case goes on; what keeps
// it from going on ends it.
type T struct {
	ctx context.Context
	run *run
	// id is the case's, and place its place in the suite.
	id       string
	place    int
	clock    *clock
	objects  map[key]*unstructured.Unstructured
	evidence []report.Evidence
	// settled tells that nothing is left of the cases before this one.
	settled bool
	// uncontrolled tells that no control request can succeed at the moment.
	uncontrolled bool
	failures     []string
	sessions     map[session]bool
}

// session is a connection that a workload's driver keeps, under a name that tells
// those of several cases apart.
type session struct {
	workload Workload
	name     string
}

// Apply applies the objects of manifests of the suite, in place of those of the
// same kind and name, and returns when every proxy follows. An object of the
// fixture may be replaced, for the duration of the case.
func (t *T) Apply(manifests ...string) {
	if err := t.apply(manifests); err != nil {
		t.Fatalf("%v", err)
	}
}

// TryApply is Apply for what a mesh may refuse when it is applied, such as an
// expression that does not compile. It returns false where the mesh did: then what
// was applied before is applied again, so that of several objects none is left
// behind, and the case fails where the mesh does not go back.
func (t *T) TryApply(manifests ...string) bool {
	err := t.apply(manifests)
	var refused *Refused
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	return err == nil
}

// apply adds the objects of manifests to those of the case. The error is a
// *Refused, or says that the manifests or the mesh are not in order.
func (t *T) apply(manifests []string) error {
	changed := maps.Clone(t.objects)
	for _, name := range manifests {
		objects, err := load(t.run.suite.Manifests, name)
		if err != nil {
			return err
		}
		for _, o := range objects {
			changed[keyOf(o)] = o
		}
	}
	return t.become(changed)
}

// Remove removes an object that the case has applied, and returns when every proxy
// follows.
func (t *T) Remove(kind, name string) {
	namespace := Apps
	if before, after, ok := strings.Cut(name, "/"); ok {
		namespace, name = before, after
	}
	changed := maps.Clone(t.objects)
	delete(changed, key{kind, namespace, name})
	if len(changed) == len(t.objects) {
		t.Fatalf("this case has no %s %s", kind, name)
	}
	if err := t.become(changed); err != nil {
		t.Fatalf("%v", err)
	}
}

// WithoutControl takes away what allows control requests, for a mesh in which
// nobody has granted anything. Denials are not told from outages until the case
// ends, so it has to show otherwise that the mesh is well.
func (t *T) WithoutControl() {
	err := t.run.withoutControl(t)
	if err == nil {
		err = t.become(t.objects)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// become makes the objects those of the case. The error is a *Refused, or says what
// keeps the case from going on. The wait for others is not the case's time.
func (t *T) become(objects map[key]*unstructured.Unstructured) error {
	t.clock.pause()
	defer t.clock.resume()
	return t.run.inTurn(t.ctx, func() error {
		t.clock.resume()
		// Whether it takes them or not, the mesh has been told what is there.
		t.settled = true
		return t.run.change(t.ctx, t, objects)
	})
}

// settle sees that what the case is about to observe owes nothing to cases before
// it, also where it has not applied anything yet.
func (t *T) settle() {
	if t.settled {
		return
	}
	t.settled = true
	t.clock.pause()
	defer t.clock.resume()
	err := t.run.inTurn(t.ctx, func() error {
		t.clock.resume()
		if !t.run.stale {
			return nil
		}
		return t.run.hand(t.ctx)
	})
	if err != nil {
		t.Fatalf("the mesh does not follow when what cases before this one applied is taken away: %v", err)
	}
}

// Send sends the call once, or as often as count says, and returns what came. It
// expects nothing.
func (t *T) Send(c Call, count int) *driver.Report {
	r := t.order(c)
	r.Count = count
	if count > 1 {
		r.Concurrency = concurrency
	}
	got, err := t.run.driver(c.from).Send(t.ctx, r)
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	return got
}

// order is the call as the workload's driver is to send it.
func (t *T) order(c Call) *driver.Request {
	t.settle()
	r := c.request
	if c.from == Stranger {
		host, port, err := t.run.target.Reach(t.ctx, r.Host, r.Port)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if r.Authority == "" {
			r.Authority = r.Host
		}
		r.Host, r.Port, r.Direct = host, port, true
	}
	if r.Session != "" {
		r.Session = t.session(r.Session)
		t.sessions[session{c.from, r.Session}] = true
	}
	return &r
}

// session is the name of a session as drivers know it: cases that run together may
// call theirs alike.
func (t *T) session(name string) string { return t.id + ":" + name }

// concurrency is how many requests of a sample are under way at a time.
const concurrency = 8

// Errorf marks the case as failed, and goes on.
func (t *T) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// Fatalf marks the case as failed and ends it.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// record keeps an observation.
func (t *T) record(c Call, wanted string, got *driver.Report, detail string) {
	e := report.Evidence{From: string(c.from), What: c.String(), Wanted: wanted, Held: detail == "", Detail: detail}
	if got != nil {
		e.Sent, e.Answers = got.Sent, got.Words
	}
	t.evidence = append(t.evidence, e)
	if detail != "" {
		t.Errorf("%s from %s: wanted %s; %s", c, c.from, wanted, detail)
	}
}

// endSessions closes what the case left open.
func (t *T) endSessions(ctx context.Context) {
	for s := range t.sessions {
		_ = t.run.driver(s.workload).End(ctx, s.name) // the workload may be gone with it
	}
}
