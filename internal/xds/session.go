package xds

import (
	"maps"
	"slices"
	"strconv"

	"github.com/smi-project/smi/internal/render/envoy"
)

// session is the state of one stream: what the proxy has, what it should have,
// and how far the way there was gone. It does no input or output and is not safe
// for concurrent use.
type session struct {
	// latest is the newest view, view the one that the subscriptions were compared
	// with, settled the last one that the proxy acknowledged or was given up on.
	latest, view, settled *View
	// subscriptions are nil for kinds that the proxy did not ask for.
	subscriptions [kindCount]*subscription
	nonces        uint64
	// awaited are the endpoints that phase 2 waits for, and the cluster for whose
	// sake; it is empty for endpoints that changed by themselves.
	awaited map[string]string
	// waiting is what the next phase waits for, overdue what it waited for long
	// enough in the current view.
	waiting wait
	overdue [waitCount]bool
}

// wait is something that a phase waits for no longer than a bound.
type wait uint8

const (
	waitNothing wait = iota
	// waitClusters is for clusters and endpoints, before phase 2.
	waitClusters
	// waitInterest is for the proxy to ask for what the view holds, before phase 3.
	waitInterest
	waitCount
)

func (w wait) String() string {
	return [waitCount]string{"nothing", "clusters and their endpoints", "subscriptions"}[w]
}

// next returns the next response to send, or nil if there is none for now. What
// it returns counts as sent.
func (s *session) next() *response {
	if s.latest == nil {
		return nil
	}
	s.adopt()
	for k, sub := range s.subscriptions {
		if sub != nil && sub.stale {
			sub.compare(s.view.lists[k])
		}
	}
	s.waiting = waitNothing
	for _, phase := range []func() (*response, bool){s.atOnce, s.makeClusters, s.switchOver, s.withdraw} {
		out, proceed := phase()
		if out != nil {
			return out
		}
		if !proceed {
			return nil
		}
	}
	s.settled = s.view
	return nil
}

// adopt makes the newest view the one to work towards.
func (s *session) adopt() {
	if s.view == s.latest {
		return
	}
	idle, before := s.settled == s.view, s.view
	s.view = s.latest
	s.overdue = [waitCount]bool{}
	for k, sub := range s.subscriptions {
		// Most changes are of one kind. Of the others there is nothing to compare.
		if sub != nil && (before == nil || !slices.Equal(before.lists[k], s.view.lists[k])) {
			sub.stale = true
		}
	}
	s.awaitChangedEndpoints(idle)
}

// awaiting tells whether there are endpoints that phase 2 has to wait for.
func (s *session) awaiting() bool {
	for name, cluster := range s.awaited {
		if s.matters(name, cluster) {
			return true
		}
	}
	return false
}

// matters tells whether awaited endpoints are part of the view. Those that are
// not may be so again in the next one.
func (s *session) matters(name, cluster string) bool {
	if cluster == "" {
		return find(s.view.lists[endpoints], name) != nil
	}
	c := find(s.view.lists[clusters], cluster)
	if c == nil {
		return false
	}
	now, eds := endpointsOf(c)
	return eds && now == name
}

// awaitChangedEndpoints makes phase 2 wait for the endpoints that are to be
// sent: all of them at the beginning of a push, and those that the proxy has not
// had yet at any time. Other ones that change while a push is under way do not
// hold it up: they change often, and would do so for ever.
func (s *session) awaitChangedEndpoints(all bool) {
	sub := s.subscriptions[endpoints]
	if sub == nil {
		return
	}
	sub.compare(s.view.lists[endpoints])
	for _, r := range sub.updates {
		if all || sub.empty(r.Name) {
			s.await(r.Name, "")
		}
	}
}

func (s *session) await(name, cluster string) {
	if s.awaited == nil {
		s.awaited = map[string]string{}
	}
	if _, ok := s.awaited[name]; !ok || cluster != "" {
		s.awaited[name] = cluster
	}
}

// atOnce sends what waits for nothing: access rules and secrets.
func (s *session) atOnce() (*response, bool) {
	if out := s.send(extensions, selection{access: true}); out != nil {
		return out, true
	}
	return s.send(secrets, selection{}), true
}

// makeClusters is phase 1.
func (s *session) makeClusters() (*response, bool) {
	for _, k := range []kind{clusters, endpoints} {
		if out := s.send(k, selection{}); out != nil {
			return out, true
		}
	}
	if s.overdue[waitClusters] || (s.clustersAcknowledged() && !s.awaiting()) {
		return nil, true
	}
	s.waiting = waitClusters
	return nil, false
}

func (s *session) clustersAcknowledged() bool {
	sub := s.subscriptions[clusters]
	if sub == nil {
		return true
	}
	// Envoy acknowledges clusters only when they are warm. Responses that only
	// withdraw have nothing to wait for.
	return len(sub.updates) == 0 && (sub.inflight == nil || len(sub.inflight.resources) == 0)
}

// switchOver is phase 2. Listeners go last, so that one which comes back finds
// the route that it left behind renewed.
func (s *session) switchOver() (*response, bool) {
	acknowledged := true
	for _, k := range []kind{routes, scopedRoutes, extensions, listeners} {
		if out := s.send(k, selection{removals: k == listeners}); out != nil {
			return out, true
		}
		sub := s.subscriptions[k]
		acknowledged = acknowledged && (sub == nil || sub.quiet())
	}
	switch {
	case !acknowledged:
		return nil, false
	case !s.overdue[waitInterest] && s.unasked() != "":
		s.waiting = waitInterest
		return nil, false
	}
	return nil, true
}

// unasked names something of the view that the proxy is expected to ask for,
// since it was not there when the proxy last had everything; "" if there is
// nothing.
func (s *session) unasked() string {
	for k, sub := range s.subscriptions {
		list := s.view.lists[k]
		if kind(k).collection() {
			if sub == nil && len(list) > 0 && len(s.settled.list(kind(k))) == 0 {
				return "any " + kind(k).String()
			}
			continue
		}
		if kind(k) == secrets {
			continue // a proxy may have its secrets from its agent
		}
		for _, r := range list {
			asked := sub != nil && (sub.wildcard || sub.has(r.Name))
			if asked || r.Spare {
				continue
			}
			if before := find(s.settled.list(kind(k)), r.Name); before == nil || before.Spare {
				return kind(k).String() + " " + r.Name
			}
		}
	}
	return ""
}

// withdraw is phase 3. It tells whether the proxy has everything.
func (s *session) withdraw() (*response, bool) {
	if s.refusing() {
		return nil, s.quiet()
	}
	if out := s.send(clusters, selection{removals: true}); out != nil {
		return out, true
	}
	if sub := s.subscriptions[clusters]; sub != nil && sub.inflight != nil {
		return nil, false
	}
	for k := range s.subscriptions {
		if out := s.send(kind(k), selection{removals: true}); out != nil {
			return out, true
		}
	}
	return nil, s.quiet()
}

// quiet tells that nothing waits to be sent or acknowledged, refused resources
// and what is kept for their sake aside.
func (s *session) quiet() bool {
	for _, sub := range s.subscriptions {
		if sub != nil && !sub.quiet() {
			return false
		}
	}
	return true
}

// send returns a response with what the selection allows, or nil.
func (s *session) send(k kind, which selection) *response {
	sub := s.subscriptions[k]
	if sub == nil {
		return nil
	}
	out := sub.take(which)
	if out == nil {
		return nil
	}
	s.nonces++
	out.nonce = strconv.FormatUint(s.nonces, 36)
	if k == clusters {
		s.warm(out.resources)
		maps.DeleteFunc(s.awaited, func(_, cluster string) bool { return slices.Contains(out.removed, cluster) })
	}
	return &response{kind: k, version: s.view.version, nonce: out.nonce, resources: out.resources, removed: out.removed}
}

// warm makes phase 2 wait for the endpoints of clusters that were just sent. A
// proxy that knows them already needs them again: Envoy builds the changed
// cluster anew, waits for its endpoints, and does not ask for what it has asked
// for on behalf of the old one.
func (s *session) warm(sent []*envoy.Resource) {
	sub := s.subscriptions[endpoints]
	for _, cluster := range sent {
		name, eds := endpointsOf(cluster)
		if !eds {
			continue
		}
		s.await(name, cluster.Name)
		if sub != nil {
			sub.renew(name)
		}
	}
	if sub != nil && sub.stale {
		sub.compare(s.view.lists[endpoints])
	}
}

// expire gives up waiting. It returns what it had waited for in vain, or "".
func (s *session) expire(w wait) string {
	if s.waiting != w || w == waitNothing {
		return ""
	}
	s.overdue[w] = true
	if w == waitInterest {
		return s.unasked()
	}
	first := ""
	for name, cluster := range s.awaited {
		if s.matters(name, cluster) && (first == "" || name < first) {
			first = name
		}
	}
	clear(s.awaited)
	if first == "" {
		return "the acknowledgement of clusters"
	}
	return endpoints.String() + " " + first
}
