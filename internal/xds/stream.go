package xds

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stream is the open stream of one proxy. The goroutine that reads from it, the
// one that a publication starts and the timer's all bring the session forward
// and then flush it; one of them at a time sends.
type stream struct {
	id     string
	out    sender
	server *Server
	// node is set once, by connect.
	node *node

	mu      sync.Mutex
	session session
	// sending tells that someone is in flush, and will see every change before
	// it leaves.
	sending bool
	// closed ends all sending; drained is closed by the last sender.
	closed  bool
	drained chan struct{}
	timer   *time.Timer
	timing  wait
}

// sender is the part of a gRPC stream that sends.
type sender interface{ SendMsg(message any) error }

// errSuperseded ends a stream that another one of the same proxy replaced.
var errSuperseded = status.Error(codes.Aborted, "a newer stream of this proxy took over")

// DeltaAggregatedResources implements the service: it returns when the proxy
// ends the stream or breaks the protocol.
func (s *Server) DeltaAggregatedResources(grpcStream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	principal, err := s.principal(grpcStream.Context())
	if err != nil {
		return err
	}
	request, err := grpcStream.Recv()
	if err != nil {
		return endOf(err)
	}
	id := request.GetNode().GetId()
	if err := s.authorize(grpcStream.Context(), principal, id); err != nil {
		return err
	}
	st := &stream{id: id, out: grpcStream, server: s}
	s.connect(st)
	defer s.disconnect(st)
	for {
		if err := st.handle(request); err != nil {
			return err
		}
		if request, err = grpcStream.Recv(); err != nil {
			return endOf(err)
		}
	}
}

// endOf turns the regular end of a stream into success.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// handle takes a request in and sends what follows from it.
func (st *stream) handle(request *discovery.DeltaDiscoveryRequest) error {
	if id := request.GetNode().GetId(); id != "" && id != st.id {
		return status.Error(codes.InvalidArgument, "the node id changed in the middle of the stream")
	}
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return errSuperseded
	}
	strays := st.strays(request)
	refused, err := st.session.request(request)
	st.mu.Unlock()
	if err != nil {
		return err
	}
	if len(strays) > 0 {
		st.server.config.OnStray(st.id, strays)
	}
	if refused != nil {
		st.note(refused)
	}
	st.flush()
	return nil
}

// strays are the resources that a proxy brings in other versions than its view has,
// as far as anybody wants to know. st.mu is held.
func (st *stream) strays(request *discovery.DeltaDiscoveryRequest) []string {
	k, ok := kindOf(request.GetTypeUrl())
	if st.server.config.OnStray == nil || !ok {
		return nil
	}
	var names []string
	for name, version := range request.GetInitialResourceVersions() {
		r := find(st.session.latest.list(k), name)
		if r != nil && r.Version != version && slices.ContainsFunc(st.server.config.StrayPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			names = append(names, name)
		}
	}
	return names
}

// note counts and logs a refusal.
func (st *stream) note(n *nack) {
	if n.resource == nil {
		st.server.logger.Debug("a proxy refused a response; looking for the resource to blame",
			"node", st.id, "type", n.kind.String(), "reason", n.reason)
		return
	}
	st.server.refusals.add(st.server.logger, st.id, n.kind, n.resource, n.reason)
}

// publish gives the session a newer view. It does not send.
func (st *stream) publish(view *View) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.session.latest = view
}

// flush sends what there is to send, and reports what changed. It returns at
// once where another goroutine does so already.
func (st *stream) flush() {
	st.mu.Lock()
	if !st.sending && !st.closed {
		st.sending = true
		for !st.closed {
			response := st.session.next()
			if response == nil {
				break
			}
			st.mu.Unlock()
			err := st.out.SendMsg(response)
			st.mu.Lock()
			if err != nil {
				st.closed = true // the reading side learns the same and ends the stream
			}
		}
		st.sending = false
		st.keepTime()
		if st.drained != nil {
			close(st.drained)
		}
	}
	st.mu.Unlock()
	st.server.report(st.node)
}

// keepTime starts or stops the timer that bounds what a phase waits for. A wait
// that goes on is not prolonged by newer views.
func (st *stream) keepTime() {
	if st.closed {
		st.session.waiting = waitNothing
	}
	if st.timing == st.session.waiting {
		return
	}
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
	st.timing = st.session.waiting
	if w := st.timing; w != waitNothing {
		st.timer = time.AfterFunc(st.server.patience, func() { st.expire(w) })
	}
}

// expire goes on without what was waited for.
func (st *stream) expire(w wait) {
	st.mu.Lock()
	missing := ""
	if st.timing == w && !st.closed {
		missing = st.session.expire(w)
		st.timer, st.timing = nil, waitNothing
	}
	st.mu.Unlock()
	if missing != "" {
		st.server.logger.Warn("a proxy did not take up part of its configuration in time; the rest proceeds",
			"node", st.id, "waited", st.server.patience.String(), "for", w.String(), "first", missing)
	}
	st.flush()
}

// close ends all sending and waits until nobody sends any more.
func (st *stream) close(wait bool) {
	st.mu.Lock()
	st.closed = true
	if !st.sending {
		st.keepTime()
		st.mu.Unlock()
		return
	}
	if st.drained == nil {
		st.drained = make(chan struct{})
	}
	drained := st.drained
	st.mu.Unlock()
	if wait {
		<-drained
	}
}
