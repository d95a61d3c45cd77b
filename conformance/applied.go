package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/report"
)

// baseFor are the objects of the fixture for a mesh of that claim.
func baseFor(claim *Claim) (map[key]*unstructured.Unstructured, error) {
	objects, err := decode(fixture)
	if err != nil {
		return nil, fmt.Errorf("the fixture: %w", err)
	}
	base := map[key]*unstructured.Unstructured{}
	for _, o := range objects {
		base[keyOf(o)] = o
	}
	// What lets control connections through is nothing to a mesh without such rules.
	for kind, f := range map[string]Feature{"tcp": AccessTCP, "udp": AccessUDP} {
		if claim.of(f) == report.None {
			maps.DeleteFunc(base, func(k key, _ *unstructured.Unstructured) bool {
				return strings.HasPrefix(k.name, "control-") && strings.HasSuffix(k.name, "-"+kind) || k == key{strings.ToUpper(kind) + "Route", k.namespace, "control"}
			})
		}
	}
	return base, nil
}

// inTurn does what only one case may do at a time. The error is that of do, or
// tells that the context has ended first.
func (r *run) inTurn(ctx context.Context, do func() error) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.turn }()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return do()
}

// change makes the objects those of the case, nil where it has none any more, and
// waits until every proxy follows. The error is a *Refused, after which everything
// is as before; else the case cannot go on. It is the case's turn.
func (r *run) change(ctx context.Context, t *T, objects map[key]*unstructured.Unstructured) error {
	for _, other := range r.inOrder() {
		for k := range objects {
			if other != t && r.active[other][k] != nil {
				return fmt.Errorf("%s is applied by %s already, which runs beside it: give it another name", k, other.id)
			}
		}
	}
	before := r.active[t]
	r.set(t, objects)
	err := r.hand(ctx)
	if err == nil {
		if objects != nil {
			t.objects = objects
		}
		return nil
	}
	if objects != nil {
		r.set(t, before)
	}
	var refused *Refused
	if !errors.As(err, &refused) {
		return fmt.Errorf("the mesh does not follow: %w", err)
	}
	if objects == nil {
		return err
	}
	// A target may have applied some of them before the one that was refused.
	if back := r.hand(ctx); back != nil {
		// This is no refusal any more, whatever it was, and is not wrapped.
		return fmt.Errorf("the mesh does not go back after %s was refused (%s): %s", refused.Object, refused.Reason, back.Error())
	}
	return err
}

func (r *run) set(t *T, objects map[key]*unstructured.Unstructured) {
	if objects == nil {
		delete(r.active, t)
	} else {
		r.active[t] = objects
	}
}

// inOrder are the cases that have applied something, in the order of the suite.
func (r *run) inOrder() []*T {
	return slices.SortedFunc(maps.Keys(r.active), func(a, b *T) int { return cmp.Compare(a.place, b.place) })
}

// hand gives copies of all objects to the target: those of the fixture, and in
// their place or beside them those of the cases.
func (r *run) hand(ctx context.Context) error {
	all := maps.Clone(r.base)
	cases := r.inOrder()
	if slices.ContainsFunc(cases, func(t *T) bool { return t.uncontrolled }) {
		maps.DeleteFunc(all, isControl)
	}
	for _, t := range cases {
		maps.Copy(all, r.active[t])
	}
	list := make([]*unstructured.Unstructured, 0, len(all))
	for _, k := range slices.SortedFunc(maps.Keys(all), inOrderOfUse) {
		list = append(list, all[k].DeepCopy())
	}
	err := r.target.Apply(ctx, list)
	if err == nil {
		r.stale = false
	}
	return err
}

// The kinds that are handed over first and last, in their order. All others,
// which are routes and identities, come between.
var (
	kindsFirst = []string{"Namespace", "ServiceAccount", "Service", "Deployment"}
	kindsLast  = []string{"TrafficTarget", "TrafficSplit"}
)

// inOrderOfUse puts what is referred to before what refers to it.
func inOrderOfUse(a, b key) int {
	return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), strings.Compare(a.String(), b.String()))
}

func rank(kind string) int {
	if i := slices.Index(kindsFirst, kind); i >= 0 {
		return i - len(kindsFirst)
	}
	return slices.Index(kindsLast, kind) + 1
}

// onlyPolicy tells whether no workload and no Service is among the objects. A mesh
// may take those back in a step of their own: no rule says that requests go on while
// a port changes what it speaks.
func onlyPolicy(objects map[key]*unstructured.Unstructured) bool {
	for k := range objects {
		if slices.Contains(kindsFirst, k.kind) {
			return false
		}
	}
	return true
}

// withoutControl makes what is applied next lack what allows control requests, but
// for those of slow cases, which run beside this one.
func (r *run) withoutControl(t *T) error {
	return r.inTurn(t.ctx, func() error {
		t.uncontrolled = true
		return nil
	})
}

// slowServer is the workload that slow cases call.
const slowServer = "vault"

func isControl(k key, _ *unstructured.Unstructured) bool {
	return strings.HasPrefix(k.name, "control-") && !strings.HasPrefix(k.name, "control-"+slowServer)
}
