//go:build linux

package live_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Ports of the ledger, and of its Service.
const (
	portHTTP       = 8080
	portTCP        = 7000
	portUndeclared = 6000
)

const (
	// closesWithin bounds how long what a grant alone carried outlives it (AC-17).
	closesWithin = 30 * time.Second
	// pace is how often something is said over what is held open.
	pace = 100 * time.Millisecond
	// soon bounds what should happen at once, on a busy machine.
	soon = 10 * time.Second
)

// held is a connection or a stream that stays open until somebody ends it.
type held struct {
	what  string
	lines atomic.Int64
	// answer tells that it is the answer to a request, which has an end of its own.
	answer bool
	// ended is closed when it has ended, at that moment and in that way.
	ended chan struct{}
	at    time.Time
	err   error
}

// hold reads lines until the end. Where there is somebody to speak to, a line
// is sent for each.
func hold(t *testing.T, what string, from io.Reader, to io.Writer) *held {
	h := &held{what: what, answer: to == nil, ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		defer close(h.ended)
		reader := bufio.NewReader(from)
		for ctx.Err() == nil {
			var err error
			if to != nil {
				_, err = io.WriteString(to, hello)
			}
			if err == nil {
				_, err = reader.ReadString('\n')
			}
			if err != nil {
				h.at, h.err = time.Now(), err
				return
			}
			h.lines.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(pace):
			}
		}
	}()
	return h
}

func (h *held) isOpen() bool {
	select {
	case <-h.ended:
		return false
	default:
		return true
	}
}

// wantAlive sees that each is open and still brings something.
func wantAlive(t *testing.T, all []*held) {
	t.Helper()
	before := make([]int64, len(all))
	for i, h := range all {
		before[i] = h.lines.Load()
	}
	for i, h := range all {
		rig.Eventually(t, soon, h.what+" brings something or ends", func() bool { return h.lines.Load() > before[i] || !h.isOpen() })
		if !h.isOpen() {
			t.Errorf("%s has ended, and nothing that concerns it was withdrawn", h.what)
		}
	}
}

// way leads to the ledger's ports: by a sidecar, or from a peer without one.
type way struct {
	who  string
	dial func(t *testing.T, port uint16, protocols ...string) net.Conn
}

func bySidecar(pod *rig.Pod) way {
	return way{who: pod.ServiceAccount + " by its sidecar", dial: func(t *testing.T, port uint16, _ ...string) net.Conn {
		t.Helper()
		return plain(t, pod.Upstream("bank", "ledger", port))
	}}
}

func byProxy(pod *rig.Pod) way {
	return way{who: pod.ServiceAccount + " by its HTTP proxy", dial: func(t *testing.T, _ uint16, _ ...string) net.Conn {
		t.Helper()
		return plain(t, pod.Proxy())
	}}
}

func directly(ledger *rig.Pod, account string) way {
	return way{who: account + " without a sidecar", dial: func(t *testing.T, port uint16, protocols ...string) net.Conn {
		t.Helper()
		return ledger.Dial(t, rig.Peer{Account: mesh.Account{Namespace: "shop", Name: account}, Protocols: protocols}, port)
	}}
}

func plain(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, soon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// holdAll opens one of everything that stays open.
func (w way) holdAll(t *testing.T) []*held {
	t.Helper()
	tcp, undeclared := w.dial(t, portTCP), w.dial(t, portUndeclared)
	chat := w.keepAlive(t, portHTTP)
	if got := chat.upgrade(t, http.MethodGet, "/chat", "websocket"); got.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s: WebSocket: %s", w.who, got.Status)
	}
	return []*held{
		hold(t, w.who+": TCP connection", tcp, tcp),
		hold(t, w.who+": TCP connection to an undeclared port", undeclared, undeclared),
		hold(t, w.who+": HTTP response", w.keepAlive(t, portHTTP).get(t, "/stream").Body, nil),
		hold(t, w.who+": HTTP response of an undeclared port", w.keepAlive(t, portUndeclared).get(t, "/stream").Body, nil),
		hold(t, w.who+": HTTP/2 stream in both directions", w.call(t).Body, nil),
		hold(t, w.who+": WebSocket", chat.reader, chat.conn),
	}
}

// call begins what a gRPC call without end looks like.
func (w way) call(t *testing.T) *http.Response {
	t.Helper()
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return w.dial(t, portHTTP, "h2"), nil
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	request, answers := io.Pipe()
	t.Cleanup(func() {
		_ = answers.Close()
		transport.CloseIdleConnections()
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ledger.bank:8080/stream", request)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	response, err := transport.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Grpc-Status") != "" {
		t.Fatalf("%s: HTTP/2: %v, %v", w.who, response, err)
	}
	return response
}

// asker asks by HTTP/1.1 over one connection.
type asker struct {
	who    string
	conn   net.Conn
	reader *bufio.Reader
}

func (w way) keepAlive(t *testing.T, port uint16) *asker {
	t.Helper()
	conn := w.dial(t, port, "http/1.1")
	return &asker{who: w.who, conn: conn, reader: bufio.NewReader(conn)}
}

func (a *asker) get(t *testing.T, path string) *http.Response {
	t.Helper()
	return a.send(t, http.MethodGet, "GET "+path+" HTTP/1.1\r\nHost: ledger.bank:8080\r\n\r\n")
}

func (a *asker) upgrade(t *testing.T, method, path, protocol string) *http.Response {
	t.Helper()
	return a.send(t, method, method+" "+path+" HTTP/1.1\r\nHost: ledger.bank:8080\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\nContent-Length: 0\r\n\r\n")
}

func (a *asker) send(t *testing.T, method, request string) *http.Response {
	t.Helper()
	_ = a.conn.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(a.conn, request); err != nil {
		t.Fatalf("%s: %v", a.who, err)
	}
	response, err := http.ReadResponse(a.reader, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: no answer to %q: %v", a.who, request, err)
	}
	_ = a.conn.SetDeadline(time.Time{})
	return response
}

// status asks and reads the answer to its end.
func (a *asker) status(t *testing.T, path string) (status int, closes bool) {
	t.Helper()
	response := a.get(t, path)
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatalf("%s: %v", a.who, err)
	}
	return response.StatusCode, response.Close
}

// bank is the ledger with three clients that may do everything there; ann has a
// little besides.
func bank(t *testing.T) *rig.Rig {
	t.Helper()
	r := rig.Start(t, []rig.Slot{
		{Namespace: "bank", Name: "ledger-0", ServiceAccount: "ledger", Labels: map[string]string{"app": "ledger"}, Ports: []uint16{portHTTP, portTCP, portUndeclared}},
		{Namespace: "shop", Name: "ann-0", ServiceAccount: "ann"},
		{Namespace: "shop", Name: "bob-0", ServiceAccount: "bob"},
		{Namespace: "shop", Name: "cid-0", ServiceAccount: "cid"},
	}, rig.Options{})
	objects := slices.Concat(newAccounts("bank", "ledger"), newAccounts("shop", "ann", "bob", "cid"),
		grantsOf("ann"), grantsOf("bob"), grantsOf("cid"), []store.Object{
			newService(in("bank", "ledger"), "ledger", newPort("http", portHTTP, portHTTP), newPort("tcp", portTCP, portTCP), newPort("any", portUndeclared, portUndeclared)),
			newGroup(in("bank", "ledger"),
				specs.HTTPMatch{Name: "stream", PathRegex: "/stream"}, specs.HTTPMatch{Name: "accounts", PathRegex: "/accounts"},
				specs.HTTPMatch{Name: "chat", PathRegex: "/chat", Methods: []string{http.MethodGet}}),
			newGroup(in("bank", "little"), specs.HTTPMatch{Name: "little", PathRegex: "/little"}),
			newTCPRoute(in("bank", "tcp"), portTCP, portUndeclared),
			newTarget(in("bank", "little-ann"), "ledger", shop("ann"), byGroup("little")),
		})
	r.Apply(objects...)
	return r
}

func shop(account string) []mesh.Account {
	return []mesh.Account{{Namespace: "shop", Name: account}}
}

// grantsOf is all that an account needs, by requests and by connections.
func grantsOf(account string) []store.Object {
	return []store.Object{
		newTarget(in("bank", "http-"+account), "ledger", shop(account), byGroup("ledger")),
		newTarget(in("bank", "tcp-"+account), "ledger", shop(account), byTCPRoute("tcp")),
	}
}

// TestWithdrawal is AC-17: what is withdrawn stops the next request, and closes
// what only it carried; what is added, and what is withdrawn from others,
// closes nothing. ann keeps a little, and cid nothing at all, so that cid's own
// sidecar changes as well.
func TestWithdrawal(t *testing.T) {
	t.Parallel()
	r := bank(t)
	ledger, ann, bob, cid := r.Pods["bank/ledger-0"], r.Pods["shop/ann-0"], r.Pods["shop/bob-0"], r.Pods["shop/cid-0"]
	losing := []way{bySidecar(ann), directly(ledger, "ann"), bySidecar(cid)}
	keeping := []way{bySidecar(bob), directly(ledger, "bob")}
	var lost, kept []*held
	var refused, served []*asker
	for _, w := range losing {
		lost = append(lost, w.holdAll(t)...)
	}
	for _, w := range keeping {
		kept = append(kept, w.holdAll(t)...)
	}
	for _, w := range append(losing, byProxy(ann), byProxy(cid)) {
		refused = append(refused, w.keepAlive(t, portHTTP))
	}
	for _, w := range append(keeping, byProxy(bob)) {
		served = append(served, w.keepAlive(t, portHTTP))
	}
	wantServed(t, refused)
	wantServed(t, served)
	wantAlive(t, append(lost, kept...))

	// What is added closes nothing: later for some, since that would take the
	// drain time, and at once for ann, none of whose chains may drain.
	r.Store.Put(append(grantsOf("dora"),
		newTarget(in("bank", "more-bob"), "ledger", shop("bob"), byGroup("little")),
		newTarget(in("bank", "more-ann"), "ledger", shop("ann"), byGroup("little"), byTCPRoute("tcp")))...)
	r.Settle()
	if n := ledger.Stat(t, "listener_manager.total_filter_chains_draining"); n != 0 {
		t.Errorf("added grants drain %d filter chains", n)
	}
	wantServed(t, append(served, refused...))
	wantAlive(t, append(lost, kept...))

	r.Store.Delete(append(grantsOf("ann"), grantsOf("cid")...)...)
	r.Settle()
	acknowledged := time.Now()
	wantRefused(t, refused, acknowledged)
	wantServed(t, served)
	wantEnded(t, lost, acknowledged)
	wantServed(t, served)
	wantAlive(t, kept)
	for _, w := range losing[:2] {
		if status, _ := w.keepAlive(t, portHTTP).status(t, "/little"); status != http.StatusOK {
			t.Errorf("%s keeps a grant, and gets %d", w.who, status)
		}
	}
}

// wantServed sees that each request is answered and no connection is to end.
func wantServed(t *testing.T, all []*asker) {
	t.Helper()
	for _, a := range all {
		if status, closes := a.status(t, "/accounts"); status != http.StatusOK || closes {
			t.Errorf("%s: status %d, the connection ends: %t", a.who, status, closes)
		}
	}
}

// wantRefused sees that requests on open connections are refused within the
// second of AC-17.
func wantRefused(t *testing.T, all []*asker, acknowledged time.Time) {
	t.Helper()
	for _, a := range all {
		for again := 0; ; again++ {
			asked := time.Since(acknowledged)
			status, closes := a.status(t, "/accounts")
			if status == http.StatusForbidden {
				t.Logf("%s: refused %s after the acknowledgement, at attempt %d", a.who, asked.Round(time.Millisecond), again+1)
				break
			}
			if asked > arrival || closes {
				t.Errorf("%s: status %d %s after the acknowledgement, and the connection ends: %t", a.who, status, asked, closes)
				break
			}
		}
	}
}

// wantEnded sees that each ends in time.
func wantEnded(t *testing.T, all []*held, acknowledged time.Time) {
	t.Helper()
	tooLate := time.After(time.Until(acknowledged.Add(closesWithin)))
	for _, h := range all {
		select {
		case <-h.ended:
			t.Logf("%s: ended %s after the acknowledgement (%v)", h.what, h.at.Sub(acknowledged).Round(time.Millisecond), h.err)
			if h.answer && errors.Is(h.err, io.EOF) {
				t.Errorf("%s: what was cut off looks complete", h.what)
			}
		case <-tooLate:
			t.Errorf("%s: still open %s after the acknowledgement", h.what, closesWithin)
			tooLate = time.After(0)
		}
	}
}

// TestUpgrades is PR-3: a WebSocket is judged as the GET that it is; other
// upgrades and CONNECT are refused, by every sidecar on the way. The offer to go
// on in HTTP/2 is left unheard, as it may be, and its request is answered.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	r := bank(t)
	for _, w := range []way{bySidecar(r.Pods["shop/ann-0"]), byProxy(r.Pods["shop/ann-0"]), directly(r.Pods["bank/ledger-0"], "ann")} {
		for _, tt := range []struct {
			method, path, protocol string
			want                   int
		}{
			{http.MethodGet, "/chat", "websocket", http.StatusSwitchingProtocols},
			{http.MethodGet, "/chat", "WebSocket", http.StatusSwitchingProtocols},
			{http.MethodPost, "/chat", "websocket", http.StatusForbidden},
			{http.MethodGet, "/private", "websocket", http.StatusForbidden},
			{http.MethodGet, "/chat", "other", http.StatusForbidden},
			{http.MethodGet, "/accounts", "h2c", http.StatusOK},
		} {
			a := w.keepAlive(t, portHTTP)
			what := fmt.Sprintf("%s: %s %s, upgrade to %s", w.who, tt.method, tt.path, tt.protocol)
			if got := a.upgrade(t, tt.method, tt.path, tt.protocol); got.StatusCode != tt.want {
				t.Errorf("%s: %s, want %d", what, got.Status, tt.want)
			} else if tt.want == http.StatusSwitchingProtocols {
				wantAlive(t, []*held{hold(t, what, a.reader, a.conn)})
			}
		}
		got := w.keepAlive(t, portHTTP).send(t, http.MethodConnect, "CONNECT ledger.bank:8080 HTTP/1.1\r\nHost: ledger.bank:8080\r\n\r\n")
		if got.StatusCode < 400 || got.StatusCode > 499 {
			t.Errorf("%s: CONNECT: %s", w.who, strings.TrimSpace(got.Status))
		}
	}
}
