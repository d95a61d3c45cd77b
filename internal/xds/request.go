package xds

import (
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/smi-project/smi/internal/render/envoy"
)

// Limits on what a proxy may make the server remember.
const (
	maxNames        = 20_000
	maxNameLength   = 512
	maxReasonLength = 1024
)

// wildcardName asks for every resource of a kind.
const wildcardName = "*"

// nack is a resource that a proxy refused. Resource is nil as long as it is not
// known which one of several is to blame.
type nack struct {
	kind     kind
	resource *envoy.Resource
	reason   string
}

// request takes note of what a proxy asks for, acknowledges or refuses. Kinds
// that the server does not know are ignored: Envoy carries on without them.
func (s *session) request(req *discovery.DeltaDiscoveryRequest) (*nack, error) {
	k, ok := kindOf(req.GetTypeUrl())
	if !ok {
		return nil, nil
	}
	if err := s.admit(req); err != nil {
		return nil, err
	}
	first := s.subscriptions[k] == nil
	var refused *nack
	if first {
		s.open(k, req)
	} else {
		refused = s.acknowledge(k, req)
	}
	sub := s.subscriptions[k]
	for _, name := range req.GetResourceNamesSubscribe() {
		sub.subscribe(s.intern(k, name))
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		sub.unsubscribe(name)
		if k == endpoints {
			delete(s.awaited, name)
		}
	}
	if first {
		sub.resume(req.GetInitialResourceVersions())
	}
	if first && k == endpoints && s.view != nil {
		for name := range s.awaited {
			sub.renew(name) // clusters went ahead of this request
		}
		s.awaitChangedEndpoints(true)
	}
	return refused, nil
}

// open begins a subscription with the first request of a kind.
func (s *session) open(k kind, req *discovery.DeltaDiscoveryRequest) {
	everything := k.collection() && len(req.GetResourceNamesSubscribe()) == 0
	names := len(req.GetResourceNamesSubscribe())
	if everything {
		names = len(s.latest.list(k))
	}
	s.subscriptions[k] = &subscription{
		kind: k, wildcard: everything, owed: everything, stale: true,
		held: make(map[string]entry, names),
	}
}

// intern returns the view's own copy of a name where it has one, so that a
// session keeps nothing of the requests it came with.
func (s *session) intern(k kind, name string) string {
	if r := find(s.latest.list(k), name); r != nil {
		return r.Name
	}
	return name
}

// acknowledge takes note of the answer to the response in flight. Answers to
// earlier ones are stale and mean nothing.
func (s *session) acknowledge(k kind, req *discovery.DeltaDiscoveryRequest) *nack {
	sub := s.subscriptions[k]
	out := sub.inflight
	if out == nil || req.GetResponseNonce() != out.nonce {
		return nil
	}
	sub.inflight = nil
	if req.GetErrorDetail() == nil {
		sub.accept(out)
		if k == endpoints {
			s.arrived(out)
		}
		return nil
	}
	reason := req.GetErrorDetail().GetMessage()
	if len(reason) > maxReasonLength {
		reason = strings.ToValidUTF8(reason[:maxReasonLength], "") + "..."
	}
	culprit := sub.refuse(out, reason)
	if culprit != nil {
		s.abandon(k, culprit)
	}
	return &nack{kind: k, resource: culprit, reason: reason}
}

// arrived ends the wait for endpoints that the proxy acknowledged, unless they
// were asked for anew since.
func (s *session) arrived(out *sent) {
	held := s.subscriptions[endpoints].held
	done := func(name string) {
		if e := held[name]; e.resource != nil && !e.again {
			delete(s.awaited, name)
		}
	}
	for _, r := range out.resources {
		done(r.Name)
	}
	for _, name := range out.removed {
		done(name)
	}
	if len(s.awaited) == 0 {
		s.awaited = nil
	}
}

// abandon ends the wait for what a refused resource would have brought.
func (s *session) abandon(k kind, refused *envoy.Resource) {
	name := refused.Name
	if k == clusters {
		name, _ = endpointsOf(refused)
	}
	if k == clusters && s.awaited[name] != refused.Name {
		return
	}
	if k == clusters || k == endpoints {
		delete(s.awaited, name)
	}
}

// subscribe notes that the proxy asks for a name. It gets an answer even if it
// should have the resource, since it may have dropped it, and even if it
// refused it.
func (s *subscription) subscribe(name string) {
	s.stale = true
	if name == wildcardName {
		s.wildcard, s.owed = true, true
		return
	}
	e := s.held[name]
	if e.resource == nil && s.inflight != nil {
		e.resource = find(s.inflight.resources, name) // it may arrive after all
	}
	s.held[name] = entry{resource: e.resource, named: true, again: true}
	delete(s.refused, name)
}

// unsubscribe notes that the proxy dropped a name. One that is still part of a
// wildcard has to be told again, since it was dropped all the same.
func (s *subscription) unsubscribe(name string) {
	s.stale = true
	if name == wildcardName {
		s.wildcard, s.owed = false, false
		for name, e := range s.held {
			if !e.named {
				delete(s.held, name)
			}
		}
		return
	}
	delete(s.refused, name)
	if s.wildcard && s.held[name].named {
		s.held[name] = entry{}
	} else if !s.wildcard {
		delete(s.held, name)
	}
}

// resume notes what the proxy kept from an earlier stream.
func (s *subscription) resume(versions map[string]string) {
	if len(versions) > 0 {
		s.owed = false
	}
	for name, version := range versions {
		if e, ok := s.held[name]; ok || s.wildcard {
			// Not needed again, although it was asked for in the same request.
			s.held[name] = entry{resource: &envoy.Resource{Name: name, Version: version}, named: e.named}
		}
	}
}

// admit refuses requests that would make the session grow beyond its limits.
func (s *session) admit(req *discovery.DeltaDiscoveryRequest) error {
	names := len(req.GetResourceNamesSubscribe()) + len(req.GetInitialResourceVersions())
	for _, sub := range s.subscriptions {
		if sub != nil {
			names += len(sub.held)
		}
	}
	if names > maxNames {
		return status.Errorf(codes.ResourceExhausted, "more than %d resource names on one stream", maxNames)
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if len(name) > maxNameLength {
			return status.Errorf(codes.InvalidArgument, "a resource name is longer than %d bytes", maxNameLength)
		}
	}
	for name, version := range req.GetInitialResourceVersions() {
		if len(name) > maxNameLength || len(version) > maxNameLength {
			return status.Errorf(codes.InvalidArgument, "an initial resource name or version is longer than %d bytes", maxNameLength)
		}
	}
	return nil
}
