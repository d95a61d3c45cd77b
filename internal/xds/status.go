package xds

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ProxyStatus is how far one proxy is. It is comparable.
type ProxyStatus struct {
	// Node is the node id, <namespace>/<pod>.
	Node string
	// Connected tells whether a stream of the proxy is open, Since when it is or
	// is not. Since is zero for a proxy that never was.
	Connected bool
	Since     time.Time
	// Synced tells that the proxy acknowledged everything of its newest view.
	Synced bool
	// Version is that of the newest view; empty where nothing was published.
	Version string
	// Pending is the number of resources to be sent, acknowledged or withdrawn,
	// but for what is kept because the proxy refuses something else.
	Pending int
	// LastError names a resource that the proxy refuses and its reason; empty as
	// soon as another version took its place.
	LastError string
}

// Status returns the status of every proxy that has a view or a stream, sorted
// by node id.
func (s *Server) Status() []ProxyStatus {
	s.mu.Lock()
	nodes := make([]*node, 0, len(s.nodes))
	for _, n := range s.nodes {
		nodes = append(nodes, n)
	}
	s.mu.Unlock()
	all := make([]ProxyStatus, len(nodes))
	for i, n := range nodes {
		all[i], _ = s.statusOf(n)
	}
	slices.SortFunc(all, func(a, b ProxyStatus) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// statusOf returns the status of a node, and whether its newest view was worked
// through: nothing more will happen before there is another one.
func (s *Server) statusOf(n *node) (status ProxyStatus, settled bool) {
	s.mu.Lock()
	st := n.stream
	status = ProxyStatus{Node: n.id, Since: n.since, Version: n.view.versionOrNone()}
	s.mu.Unlock()
	if st == nil {
		return status, false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	status.Connected = true
	return status, st.session.describe(&status)
}

func (v *View) versionOrNone() string {
	if v == nil {
		return ""
	}
	return v.version
}

// describe fills in what the session knows, and tells whether it is settled.
func (s *session) describe(status *ProxyStatus) bool {
	status.Version = s.latest.versionOrNone()
	refusing := s.refusing()
	for _, sub := range s.subscriptions {
		if sub == nil {
			continue
		}
		status.Pending += sub.pending()
		if !refusing {
			status.Pending += len(sub.removals)
		}
	}
	settled := s.latest != nil && s.settled == s.latest && s.quiet() && status.Pending == 0
	status.Synced = settled && !refusing && s.complete()
	status.LastError = s.lastError()
	return settled
}

// complete tells that the proxy asked for every collection that its view has.
func (s *session) complete() bool {
	for k, sub := range s.subscriptions {
		if kind(k).collection() && sub == nil && len(s.latest.lists[k]) > 0 {
			return false
		}
	}
	return true
}

// refusing tells whether the proxy refuses any resource of its view.
func (s *session) refusing() bool {
	for _, sub := range s.subscriptions {
		if sub != nil && len(sub.refused) > 0 {
			return true
		}
	}
	return false
}

// lastError describes the first refused resource, by type and name.
func (s *session) lastError() string {
	for k, sub := range s.subscriptions {
		if sub == nil || len(sub.refused) == 0 {
			continue
		}
		first := ""
		for name := range sub.refused {
			if first == "" || name < first {
				first = name
			}
		}
		return fmt.Sprintf("%s %s refused: %s", kind(k), first, sub.refused[first].reason)
	}
	return ""
}

// Wait blocks until each of the proxies is connected and has acknowledged
// everything of the view that is current when it does. It returns an error that
// names the first proxy in question when one refuses part of its view, as
// nothing more would come of waiting, or when the context ends.
func (s *Server) Wait(ctx context.Context, nodeIDs ...string) error {
	for _, id := range nodeIDs {
		for {
			// The bell is fetched first, so that no change is missed in between.
			rung := s.bell.wait()
			status, settled := s.statusOfID(id)
			if status.Synced {
				break
			}
			if settled && status.LastError != "" {
				return fmt.Errorf("proxy %s: %s", id, status.LastError)
			}
			select {
			case <-rung:
			case <-ctx.Done():
				return fmt.Errorf("proxy %s %s: %w", id, status.lack(), ctx.Err())
			}
		}
	}
	return nil
}

// statusOfID is the status of a node that may be unknown.
func (s *Server) statusOfID(id string) (status ProxyStatus, settled bool) {
	s.mu.Lock()
	n := s.nodes[id]
	s.mu.Unlock()
	if n == nil {
		return ProxyStatus{Node: id}, false
	}
	return s.statusOf(n)
}

// lack says in words why a proxy is not synchronised.
func (p ProxyStatus) lack() string {
	switch {
	case !p.Connected:
		return "is not connected"
	case p.Version == "":
		return "has no configuration to get"
	case p.LastError != "":
		return p.LastError
	}
	return fmt.Sprintf("has not acknowledged its configuration (%d resources pending)", p.Pending)
}

// bell wakes everyone who waits for a change of any proxy.
type bell struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// wait returns a channel that is closed by the next ring.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}
