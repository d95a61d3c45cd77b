//go:build linux

package live_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

const (
	// manySources are fewer than a port has filter chains, and enough for some to
	// meet wherever sources share any.
	manySources = 200
	// neighbours are how many of them keep a stream.
	neighbours = 50
)

func source(i int) string { return fmt.Sprintf("source-%03d", i) }

// TestManySources is AC-17 at a port with many sources: each has rules and
// connections of its own.
func TestManySources(t *testing.T) {
	t.Parallel()
	r := rig.Start(t, []rig.Slot{
		{Namespace: "bank", Name: "ledger-0", ServiceAccount: "ledger", Labels: map[string]string{"app": "ledger"}, Ports: []uint16{portHTTP}},
	}, rig.Options{})
	ledger := r.Pods["bank/ledger-0"]
	objects := []store.Object{
		newService(in("bank", "ledger"), "ledger", newPort("http", portHTTP, portHTTP)),
		newGroup(in("bank", "ledger"), specs.HTTPMatch{Name: "stream", PathRegex: "/stream"}, specs.HTTPMatch{Name: "accounts", PathRegex: "/accounts"}),
		newGroup(in("bank", "little"), specs.HTTPMatch{Name: "little", PathRegex: "/little"}),
	}
	for i := range manySources {
		objects = append(objects, targetOf(source(i)))
	}
	r.Apply(objects...)
	// An acknowledged listener with that many chains is a moment away.
	rig.Eventually(t, soon, "the ledger's port is open", func() bool {
		conn, err := net.Dial("tcp", ledger.Inbound(portHTTP))
		return err == nil && conn.Close() == nil
	})

	losing, keeping, late := directly(ledger, source(0)), directly(ledger, source(1)), directly(ledger, "late")
	lost := hold(t, "stream that loses its grant", losing.keepAlive(t, portHTTP).get(t, "/stream").Body, nil)
	var kept []*held
	for i := range neighbours {
		kept = append(kept, hold(t, "stream of "+source(i+1), directly(ledger, source(i+1)).keepAlive(t, portHTTP).get(t, "/stream").Body, nil))
	}
	asking, served, early := losing.keepAlive(t, portHTTP), keeping.keepAlive(t, portHTTP), late.keepAlive(t, portHTTP)
	wantServed(t, []*asker{asking, served})
	wantStatus(t, early, "/accounts", http.StatusForbidden)
	wantStrangersRefused(t, ledger)

	// A changed grant reaches what is open, and so does the first one.
	r.Store.Put(targetOf("late"), newTarget(in("bank", "more"), "ledger", shop(source(1)), byGroup("little")))
	r.Settle()
	if n := ledger.Stat(t, "listener_manager.total_filter_chains_draining"); n != 0 {
		t.Errorf("added grants drain %d filter chains", n)
	}
	soonStatus(t, early, "/accounts", http.StatusOK)
	soonStatus(t, served, "/little", http.StatusOK)
	// What is opened in a connection from before is closed with it all the same.
	older := hold(t, "stream in a connection that is older than the grant", early.get(t, "/stream").Body, nil)
	wantAlive(t, append(kept, lost, older))

	r.Store.Delete(targetOf(source(0)), targetOf("late"))
	r.Settle()
	acknowledged := time.Now()
	wantRefused(t, []*asker{asking}, acknowledged)
	wantServed(t, []*asker{served})
	wantStatus(t, losing.keepAlive(t, portHTTP), "/accounts", http.StatusForbidden)
	wantEnded(t, []*held{lost, older}, acknowledged)
	wantAlive(t, kept)
	wantServed(t, []*asker{served})

	// A mode reaches connections that were opened under another one.
	for _, step := range []struct {
		mode string
		want int
	}{{"permissive", http.StatusOK}, {"strict", http.StatusForbidden}} {
		open := losing.keepAlive(t, portHTTP)
		wantServed(t, []*asker{served})
		r.Store.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bank", Labels: map[string]string{"smi-spec.io/access": step.mode}}})
		r.Settle()
		rig.Eventually(t, arrival, "the mode "+step.mode+" holds", func() bool {
			got, _ := losing.keepAlive(t, portHTTP).status(t, "/accounts")
			return got == step.want
		})
		// The chains of the other mode drain, so each connection may end with its
		// answer, but not with another one.
		if got, _ := open.status(t, "/accounts"); got != step.want {
			t.Errorf("%s: status %d over a connection from before", step.mode, got)
		}
		if got, _ := served.status(t, "/accounts"); got != http.StatusOK {
			t.Errorf("%s: status %d for who is granted it", step.mode, got)
		}
		served = keeping.keepAlive(t, portHTTP)
	}
}

// wantStrangersRefused sees that a server name gives nobody what another may:
// not that of a chain, not one of several sources, and not one that none has.
func wantStrangersRefused(t *testing.T, ledger *rig.Pod) {
	t.Helper()
	for _, account := range []string{"stranger", source(1)} {
		for _, name := range []string{sourceName(source(0)), "x." + sourceName(source(0))[31:], "*." + sourceName(source(0))[31:], sourceName("late"), "ledger.bank"} {
			peer := rig.Peer{Account: mesh.Account{Namespace: "shop", Name: account}, ServerName: name, Protocols: []string{"http/1.1"}}
			conn := ledger.Dial(t, peer, portHTTP)
			wantStatus(t, &asker{who: account + " as " + name, conn: conn, reader: bufio.NewReader(conn)}, "/accounts", http.StatusForbidden)
		}
	}
}

func wantStatus(t *testing.T, a *asker, path string, want int) {
	t.Helper()
	if got, _ := a.status(t, path); got != want {
		t.Errorf("%s: status %d for %s, want %d", a.who, got, path, want)
	}
}

// soonStatus sees that a change that was acknowledged reaches a connection,
// which goes on.
func soonStatus(t *testing.T, a *asker, path string, want int) {
	t.Helper()
	rig.Eventually(t, arrival, fmt.Sprintf("%s: %d for %s over an open connection", a.who, want, path), func() bool {
		got, closes := a.status(t, path)
		if closes {
			t.Errorf("%s: the connection ends with status %d", a.who, got)
		}
		return got == want
	})
}

func targetOf(account string) store.Object {
	return newTarget(in("bank", "of-"+account), "ledger", shop(account), byGroup("ledger"))
}
