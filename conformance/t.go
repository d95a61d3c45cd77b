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
	ctx      context.Context
	run      *run
	objects  map[key]*unstructured.Unstructured
	evidence []report.Evidence
	// uncontrolled tells that no control request can succeed at the moment.
	uncontrolled bool
	failures     []string
	sessions     map[session]bool
}

// session is a connection that a workload's driver keeps.
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
// expression that does not compile. It returns false where the mesh did: then
// everything is as before, and what was refused grants nothing.
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
	t.run.withoutControl(t)
	if err := t.become(t.objects); err != nil {
		t.Fatalf("%v", err)
	}
}

// become makes the objects those of the case. The error is a *Refused, or says that
// the mesh does not follow.
func (t *T) become(objects map[key]*unstructured.Unstructured) error {
	err := t.run.apply(t.ctx, t, objects)
	var refused *Refused
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("the mesh does not follow: %w", err)
	}
	return err
}

// Send sends the call once, or as often as count says, and returns what came. It
// expects nothing.
func (t *T) Send(c Call, count int) *driver.Report {
	r := c.request
	r.Count = count
	if count > 1 {
		r.Concurrency = concurrency
	}
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
		t.sessions[session{c.from, r.Session}] = true
	}
	got, err := t.run.driver(c.from).Send(t.ctx, &r)
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	return got
}

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
func (t *T) endSessions() {
	for s := range t.sessions {
		_ = t.run.driver(s.workload).End(context.WithoutCancel(t.ctx), s.name)
	}
}
