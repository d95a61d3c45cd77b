package xds

import (
	"cmp"
	"slices"
	"strings"

	"github.com/smi-project/smi/internal/render/envoy"
)

// subscription is what a proxy asked for of one kind, and what it has of it.
type subscription struct {
	kind kind
	// wildcard means every resource of the view, besides those asked for by name.
	wildcard bool
	// held has an entry for every name that the proxy asked for or has.
	held map[string]entry
	// refused are the versions that the proxy refused, by name; usually nil.
	refused map[string]refusal
	// inflight is the response that the proxy did not acknowledge yet, or nil.
	inflight *sent
	// owed demands a response even if it is empty: without one, a proxy that
	// asked for a whole collection waits for its initialisation to time out.
	owed bool
	// limit bounds the resources of the next response, so that one which the
	// proxy refuses is found; 0 is no bound.
	limit int
	// stale tells that the three lists below are out of date.
	stale bool
	// updates are to be sent, removals to be withdrawn; absent are names that the
	// proxy waits for and that do not exist. All are sorted by name.
	updates  []*envoy.Resource
	removals []string
	absent   []string
}

// entry is one resource as the proxy has it, or will have it once it
// acknowledged what is in flight.
type entry struct {
	// resource is nil as long as the name was not answered. It may be a stand-in
	// without a body, for a resource of an earlier stream.
	resource *envoy.Resource
	// named tells that the proxy asked for this very name.
	named bool
	// again tells that it needs the resource once more, even if unchanged.
	again bool
}

// sent is a response in flight.
type sent struct {
	nonce     string
	resources []*envoy.Resource
	removed   []string
	// previous is what the proxy had of the only resource of the response.
	previous *envoy.Resource
}

// refusal is a version that the proxy refused, and why.
type refusal struct {
	version string
	reason  string
}

var (
	// gone stands for a resource that the proxy was told not to exist.
	gone = &envoy.Resource{}
	// unsure stands for one of which the proxy may have the old or the new
	// version, since it refused a response of several resources.
	unsure = &envoy.Resource{}
)

// compare works out what the proxy lacks of the wanted resources, and what it
// has beyond them.
func (s *subscription) compare(want []*envoy.Resource) {
	s.stale = false
	s.updates, s.removals, s.absent = nil, nil, nil
	for name, r := range s.refused {
		if now := find(want, name); now == nil || now.Version != r.version {
			delete(s.refused, name)
		}
	}
	known := 0
	for _, r := range want {
		e, ok := s.held[r.Name]
		if ok {
			known++
		}
		if (ok || s.wildcard) && s.lacks(r, e) {
			s.updates = append(s.updates, r)
		}
	}
	if known < len(s.held) {
		s.compareRest(want)
	}
	if len(s.updates) == 0 {
		s.limit = 0
	}
}

// compareRest looks for names that are held and not wanted.
func (s *subscription) compareRest(want []*envoy.Resource) {
	for name, e := range s.held {
		unanswered := e.again || e.resource == nil
		real := e.resource != nil && e.resource != gone
		switch {
		case find(want, name) != nil:
		case unanswered && real && e.resource.Body != nil:
			// The proxy needs it until it is withdrawn: a cluster that is on its way
			// out and was built anew must not lose its endpoints before its routes.
			s.updates = append(s.updates, e.resource)
		case unanswered && s.kind.answersAbsent():
			s.absent = append(s.absent, name)
		case real:
			s.removals = append(s.removals, name)
		}
	}
	slices.SortFunc(s.updates, func(a, b *envoy.Resource) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(s.removals)
	slices.Sort(s.absent)
}

// lacks tells whether the proxy has to be sent a resource, given what it has of
// that name.
func (s *subscription) lacks(r *envoy.Resource, e entry) bool {
	if !e.again && e.resource == r {
		return false
	}
	if !e.again && e.resource != nil && e.resource.Version == r.Version {
		e.resource = r // lets go of the equal one that an older view holds
		s.held[r.Name] = e
		return false
	}
	refused, ok := s.refused[r.Name]
	return !ok || refused.version != r.Version
}

// selection says which part of a subscription a response may carry.
type selection struct {
	// access restricts it to access rules.
	access bool
	// removals includes what is to be withdrawn.
	removals bool
}

// take moves what may be sent from the lists into a response, and notes it as
// what the proxy has. It returns nil if there is nothing, or if a response is in
// flight already.
func (s *subscription) take(which selection) *sent {
	if s.inflight != nil {
		return nil
	}
	out := &sent{}
	if s.limit == 0 && !which.access && len(s.updates) > 0 {
		out.resources = make([]*envoy.Resource, 0, len(s.updates))
	}
	allowed := func(name string) bool { return !which.access || strings.HasPrefix(name, AccessPrefix) }
	s.updates = slices.DeleteFunc(s.updates, func(r *envoy.Resource) bool {
		take := allowed(r.Name) && (s.limit == 0 || len(out.resources) < s.limit)
		if take {
			out.resources = append(out.resources, r)
		}
		return take
	})
	s.absent = slices.DeleteFunc(s.absent, func(name string) bool {
		if allowed(name) {
			out.removed = append(out.removed, name)
		}
		return allowed(name)
	})
	if which.removals {
		out.removed = append(out.removed, s.removals...)
		s.removals = nil
	}
	if len(out.resources) == 0 && len(out.removed) == 0 && !s.owed {
		return nil
	}
	s.owed = false
	s.trim()
	if len(out.resources) == 1 {
		out.previous = s.held[out.resources[0].Name].resource
	}
	for _, r := range out.resources {
		e := s.held[r.Name]
		s.stale = s.stale || e.again // it may have to be withdrawn after that
		s.held[r.Name] = entry{resource: r, named: e.named}
	}
	for _, name := range out.removed {
		s.forget(name)
	}
	s.inflight = out
	return out
}

// trim lets go of lists that were sent in full.
func (s *subscription) trim() {
	if len(s.updates) == 0 {
		s.updates = nil
	}
	if len(s.absent) == 0 {
		s.absent = nil
	}
}

// forget notes that the proxy was told that the name does not exist.
func (s *subscription) forget(name string) {
	if s.held[name].named {
		s.held[name] = entry{resource: gone, named: true}
	} else {
		delete(s.held, name)
	}
}

// accept takes note of an acknowledgement.
func (s *subscription) accept(out *sent) {
	for _, r := range out.resources {
		delete(s.refused, r.Name)
	}
	if len(s.updates) == 0 {
		s.limit = 0
	} else if len(out.resources) > 0 {
		s.limit *= 2
	}
}

// refuse takes note of a refusal. It returns the resource that is to blame, or
// nil while that is not known: then the response is repeated in halves. What the
// response withdrew is repeated too, but not if that was all there was in it.
func (s *subscription) refuse(out *sent, reason string) (culprit *envoy.Resource) {
	s.stale = true
	if len(out.resources) == 0 {
		return nil
	}
	for _, name := range out.removed {
		if e, ok := s.held[name]; (!ok && s.wildcard) || e.resource == gone {
			s.held[name] = entry{resource: unsure, named: e.named, again: true}
		}
	}
	if len(out.resources) > 1 {
		s.limit = len(out.resources) / 2
		for _, r := range out.resources {
			s.revert(r, unsure)
		}
		return nil
	}
	culprit = out.resources[0]
	if !s.wildcard && !s.has(culprit.Name) {
		return culprit // the proxy has lost interest since
	}
	if s.refused == nil {
		s.refused = map[string]refusal{}
	}
	s.refused[culprit.Name] = refusal{version: culprit.Version, reason: reason}
	s.revert(culprit, out.previous)
	return culprit
}

// revert notes that the proxy did not take a resource, unless the name was asked
// for anew or given up in the meantime. Versions are compared, since an equal
// resource of a newer view may have taken its place.
func (s *subscription) revert(r, previous *envoy.Resource) {
	e, ok := s.held[r.Name]
	switch {
	case !ok || e.resource == nil || e.resource.Version != r.Version:
	case previous == nil && !e.named:
		delete(s.held, r.Name)
	default:
		e.resource = previous
		s.held[r.Name] = e
	}
}

func (s *subscription) has(name string) bool {
	_, ok := s.held[name]
	return ok
}

// empty tells that the proxy has nothing of that name, or was told so.
func (s *subscription) empty(name string) bool {
	e := s.held[name]
	return e.resource == nil || e.resource == gone
}

// renew has a name that the proxy asked for sent once more.
func (s *subscription) renew(name string) {
	if e, ok := s.held[name]; ok {
		e.again = true
		s.held[name] = e
		s.stale = true
	}
}

// pending is the number of resources that were not sent or not acknowledged,
// those to be withdrawn aside.
func (s *subscription) pending() int {
	n := len(s.updates) + len(s.absent)
	if s.inflight != nil {
		n += len(s.inflight.resources) + len(s.inflight.removed)
	}
	return n
}

// quiet tells that nothing but withdrawals waits to be sent or acknowledged.
func (s *subscription) quiet() bool {
	return !s.stale && len(s.updates) == 0 && len(s.absent) == 0 && s.inflight == nil && !s.owed
}
