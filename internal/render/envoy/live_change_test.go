package envoy

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
	"testing"
	"time"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

// closedWithin is the drain time of the tests' Envoys, and some.
const closedWithin = 8 * time.Second

// stream is a response that never ends by itself.
type stream struct {
	body   io.Closer
	reader *bufio.Reader
	ended  chan error
}

func (l *live) stream(t *testing.T, a mesh.Account) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url(ledger, portHTTP, "/stream"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := l.direct(t, a, SourceName(principal(a))).Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("stream: %v, %v", resp, err)
	}
	s := &stream{body: resp.Body, reader: bufio.NewReader(resp.Body), ended: make(chan error, 1)}
	if _, err := s.reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := io.Copy(io.Discard, s.reader)
		s.ended <- err
	}()
	return s
}

func (s *stream) wantOpen(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		t.Errorf("a stream was closed that nothing concerned: %v", err)
	default:
	}
}

func wantEcho(t *testing.T, c net.Conn) {
	t.Helper()
	_, _ = c.Write([]byte("still there?"))
	wantRead(t, c, "still there?")
}

// AC-17: what is withdrawn stops new requests at once, and closes what it
// carried; what nothing was taken from never notices.
func TestWithdrawal(t *testing.T) {
	eachEnvoy(t, 204, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address}
		w.grants[1].Sources = append(w.grants[1].Sources, principal(canary)) // keeps its connections
		l := startLive(t, binary, w, Options{}, ledger)
		open := l.direct(t, web, SourceName(principal(web)))
		accounts := l.url(ledger, portHTTP, "/accounts")
		wantReply(t, open, "GET", accounts, reply{200, "ledger", ""})
		webStream, cartStream := l.stream(t, web), l.stream(t, cart)
		var webConns, canaryConns []net.Conn
		for _, port := range []int{portTCP, portUndeclared} {
			webConns = append(webConns, l.dial(t, web, SourceName(principal(web)), port))
			canaryConns = append(canaryConns, l.dial(t, canary, SourceName(principal(canary)), port))
		}
		for _, c := range slices.Concat(webConns, canaryConns) {
			wantRead(t, c, "hello\n")
		}

		// An added grant concerns nobody's connection.
		w.grants = append(w.grants, &mesh.Grant{Target: mesh.Name{Namespace: "bank", Name: "late"}, Sources: []mesh.Principal{principal(canary)}, Matches: []*mesh.Match{{Path: "/"}}})
		l.update(t)
		late := l.direct(t, canary, SourceName(principal(canary)))
		envoytest.Eventually(t, patience, func() error { return wantStatus(late, accounts, 200) })

		// web loses everything, and its epochs say so.
		w.grants = w.grants[2:]
		w.grants = append(w.grants, &mesh.Grant{
			Target: mesh.Name{Namespace: "bank", Name: "connects"}, Sources: []mesh.Principal{principal(canary)},
			Ports: []uint16{portTCP, portUndeclared}, Connections: true,
		})
		w.grants = append(w.grants, &mesh.Grant{Target: mesh.Name{Namespace: "bank", Name: "little"}, Sources: []mesh.Principal{principal(web)}, Ports: []uint16{portHTTP}, Matches: []*mesh.Match{{Path: "/little"}}})
		for _, port := range []uint16{portHTTP, portTCP, portUndeclared} {
			l.epochs = l.epochs.Bump(ledger, port, principal(web))
		}
		l.update(t)
		envoytest.Eventually(t, 2*time.Second, func() error { return wantStatus(open, accounts, 403) })
		select {
		case <-webStream.ended:
		case <-time.After(closedWithin):
			t.Error("the stream outlived its grant")
		}
		for _, c := range webConns {
			wantClosed(t, c)
		}
		wantReply(t, l.direct(t, web, SourceName(principal(web))), "GET", l.url(ledger, portHTTP, "/little"), reply{200, "ledger", ""})
		cartStream.wantOpen(t)
		for _, c := range canaryConns {
			wantEcho(t, c)
		}
		wantReply(t, late, "GET", accounts, reply{200, "ledger", ""})
		l.accepted(t)
	})
}

func wantStatus(client *http.Client, target string, status int) error {
	got, err := do(client, "GET", target)
	if err == nil && got.status != status {
		err = fmt.Errorf("status %d, want %d", got.status, status)
	}
	return err
}

// TS-11: changed weights move new requests and connections, and close none.
func TestWeightsMoveWithoutClosing(t *testing.T) {
	eachEnvoy(t, 208, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Permissive, address: address, tcpSplit: true}
		l := startLive(t, binary, w, Options{}, ledger, canary, web)
		byWeb := l.byProxy(t, web)
		old := l.upstream(t, web, "db")
		wantRead(t, old, "hello\n")
		wantReply(t, byWeb, "GET", "http://ledger.bank/", reply{200, "ledger", ""})
		w.weight = 100
		l.update(t)
		envoytest.Eventually(t, patience, func() error {
			got, err := do(byWeb, "GET", "http://ledger.bank/")
			if err == nil && got.app != "canary" {
				err = errors.New("still " + got.String())
			}
			return err
		})
		wantEcho(t, old)
		w.weight = 30
		l.update(t)
		seen := map[string]int{}
		envoytest.Eventually(t, patience, func() error {
			got, err := do(byWeb, "GET", "http://ledger.bank/")
			if err != nil || got.status != 200 {
				return fmt.Errorf("%v, %w", got, err)
			}
			seen[got.app]++
			if seen["ledger"] == 0 || seen["ledger"]+seen["canary"] < 200 {
				return errors.New("not enough yet")
			}
			return nil
		})
		for range 200 {
			got, err := do(byWeb, "GET", "http://ledger.bank/")
			if err != nil || got.status != 200 {
				t.Fatalf("%v, %v", got, err)
			}
			seen[got.app]++
		}
		if share := float64(seen["canary"]) / float64(seen["canary"]+seen["ledger"]); share < 0.2 || share > 0.45 {
			t.Errorf("the canary got %.2f of the requests, want 0.30", share)
		}
		wantEcho(t, old)
		l.accepted(t)
	})
}

// ID-6: a pod that answers at another's address is not believed.
func TestServerMustProveItsAccount(t *testing.T) {
	eachEnvoy(t, 212, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Permissive, address: address, imposter: true}
		l := startLive(t, binary, w, Options{}, canary, web)
		wantReply(t, l.byProxy(t, web), "GET", "http://canary.bank/", reply{200, "canary", ""})
		got, err := do(l.byProxy(t, web), "GET", "http://ledger.bank/")
		if err != nil || got.status != 503 {
			t.Errorf("got %v, %v, want 503", got, err)
		}
		stats := l.envoys[web.String()].Stats(t, "outbound.80.ledger.bank.ssl.fail_verify_san")
		if stats == "" || strings.HasSuffix(strings.TrimSpace(stats), ": 0") {
			t.Errorf("failed for another reason than the server's identity: %q", stats)
		}
		l.accepted(t)
	})
}
