package xds_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/xds"
)

// changes collects what OnChange is told.
type changes struct {
	mu   sync.Mutex
	all  []xds.ProxyStatus
	next chan struct{}
}

func (c *changes) add(s xds.ProxyStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s)
	select {
	case c.next <- struct{}{}:
	default:
	}
}

// await returns the first status that satisfies the condition.
func (c *changes) await(t *testing.T, what string, condition func(xds.ProxyStatus) bool) xds.ProxyStatus {
	t.Helper()
	bound := time.After(patience)
	for {
		c.mu.Lock()
		i := slices.IndexFunc(c.all, condition)
		if i >= 0 {
			defer c.mu.Unlock()
			return c.all[i]
		}
		c.mu.Unlock()
		select {
		case <-c.next:
		case <-bound:
			t.Fatalf("no change to %s: %+v", what, c.all)
		}
	}
}

func TestStatusAndOnChange(t *testing.T) {
	seen := &changes{next: make(chan struct{}, 1)}
	f := serve(t, func(c *xds.Config, _ *time.Duration) { c.OnChange = seen.add })
	v := view("Listener a@1")
	f.Publish(map[string]*xds.View{"ns/pod": v, "ns/absent": v})
	p := f.connect()
	p.subscribe("Listener")
	reply := p.expect("Listener +a@1")
	pending := seen.await(t, "pending", func(s xds.ProxyStatus) bool { return s.Pending == 1 })
	if pending.Node != "ns/pod" || !pending.Connected || pending.Synced || pending.Version != v.Version() {
		t.Errorf("in flight: %+v", pending)
	}
	reply.ack()
	seen.await(t, "synced", func(s xds.ProxyStatus) bool { return s.Synced && s.Pending == 0 })
	f.wait()

	status := f.Status()
	if len(status) != 2 || status[0].Node != "ns/absent" || status[0].Connected || status[0].Version != v.Version() || !status[0].Since.IsZero() {
		t.Errorf("a proxy that never came: %+v", status)
	}
	if !status[1].Synced || time.Since(status[1].Since) > patience {
		t.Errorf("a synchronised proxy: %+v", status[1])
	}

	p.close()
	gone := seen.await(t, "disconnected", func(s xds.ProxyStatus) bool { return !s.Connected })
	if gone.Node != "ns/pod" || gone.Synced {
		t.Errorf("disconnected: %+v", gone)
	}
}

// A proxy is not synchronised before it asked for every collection of its view:
// Envoy asks for listeners only once its clusters are warm.
func TestNotSyncedBeforeListenersAreAskedFor(t *testing.T) {
	f := serve(t)
	f.publish(view("Cluster static@1", "Listener l@1"))
	p := f.connect()
	p.subscribe("Cluster")
	p.expect("Cluster +static@1").ack()
	p.quiet()
	if s := f.Status()[0]; s.Synced {
		t.Fatalf("synchronised without listeners: %+v", s)
	}
	p.subscribe("Listener")
	p.expect("Listener +l@1").ack()
	f.wait()
}

func TestWaitEndsWithItsContext(t *testing.T) {
	f := serve(t)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Wait(canceled, "ns/pod"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "ns/pod is not connected") {
		t.Errorf("not connected: %v", err)
	}
	p := f.connect()
	p.subscribe("Listener")
	f.publish(view("Listener a@1"))
	reply := p.expect("Listener +a@1")
	if err := f.Wait(canceled, "ns/pod"); err == nil || !strings.Contains(err.Error(), "1 resources pending") {
		t.Errorf("pending: %v", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- f.Wait(context.Background(), "ns/pod") }()
	reply.ack()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// A node that is gone keeps its stream and what it has; only when it reconnects
// is there nothing for it.
func TestNodeThatIsGone(t *testing.T) {
	f := serve(t)
	f.publish(view("Listener a@1"))
	p := f.connect()
	p.subscribe("Listener")
	p.expect("Listener +a@1").ack()
	f.wait()
	f.Publish(nil)
	p.quiet()
	if status := f.Status(); len(status) != 1 || !status[0].Connected {
		t.Errorf("%+v", status)
	}
	f.publish(view("Listener a@2"))
	p.expect("Listener +a@2").ack()
	f.wait()

	p.close()
	f.Publish(nil)
	again := f.connect()
	again.subscribe("Listener")
	if err := again.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	again.expectError("Unknown", "EOF")
}
