//go:build linux

package live_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Ports of the mail server.
const (
	portMail      = 7025
	portMailQuiet = 7026 // undeclared
	portMailWeb   = 8080
)

const greeting = "220 mail.bank is ready\n"

// mail is a server that speaks first. It counts whoever reaches it.
type mail struct {
	rig   *rig.Rig
	pod   *rig.Pod
	seen  atomic.Int64
	asked atomic.Int64
}

// startMail runs it for a friend who is granted everything and a stranger who
// is granted nothing.
func startMail(t *testing.T) *mail {
	t.Helper()
	r := rig.Start(t, []rig.Slot{
		{Namespace: "bank", Name: "mail-0", ServiceAccount: "mail"},
		{Namespace: "shop", Name: "friend-0", ServiceAccount: "friend"},
		{Namespace: "shop", Name: "stranger-0", ServiceAccount: "stranger"},
	}, rig.Options{})
	m := &mail{rig: r, pod: r.Pods["bank/mail-0"]}
	for _, port := range []uint16{portMail, portMailQuiet} {
		m.pod.Serve(t, port, func(conn net.Conn) {
			m.seen.Add(1)
			if _, err := io.WriteString(conn, greeting); err == nil {
				_, _ = io.Copy(conn, conn)
			}
		})
	}
	m.pod.Serve(t, portMailWeb, func(conn net.Conn) {
		m.asked.Add(1)
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
	})
	pod := m.pod.Object()
	pod.Labels = map[string]string{"app": "mail"}
	for _, port := range []int32{portMail, portMailQuiet, portMailWeb} {
		pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, corev1.ContainerPort{ContainerPort: port})
	}
	r.Apply(append(append(newAccounts("bank", "mail"), newAccounts("shop", "friend", "stranger")...), []store.Object{
		pod,
		newService(in("bank", "mail"), "mail", newPort("tcp", portMail, portMail), newPort("quiet", portMailQuiet, portMailQuiet), newPort("http", portMailWeb, portMailWeb)),
		newTCPRoute(in("bank", "all")),
		newTarget(in("bank", "friend"), "mail", shop("friend"), byTCPRoute("all")),
	}...)...)
	return m
}

func sourceName(account string) string {
	return envoy.SourceName(mesh.PrincipalOf("cluster.local", mesh.Account{Namespace: "shop", Name: account}))
}

// TestGreeting is AC-12 for a server that speaks first: who is granted hears
// the greeting without having said anything; nobody else hears a byte, and the
// application sees none of them.
func TestGreeting(t *testing.T) {
	t.Parallel()
	m := startMail(t)
	friend, stranger := m.rig.Pods["shop/friend-0"], m.rig.Pods["shop/stranger-0"]

	// Each sidecar waits half a second for an undeclared port's first bytes (PR-2).
	wantGreeting(t, "granted, by its sidecar", func() net.Conn { return plain(t, friend.Upstream("bank", "mail", portMail)) }, 0)
	wantGreeting(t, "granted, by its sidecar, undeclared port", func() net.Conn { return plain(t, friend.Upstream("bank", "mail", portMailQuiet)) }, 2*sniffing)
	peer := rig.Peer{Account: mesh.Account{Namespace: "shop", Name: "friend"}}
	wantGreeting(t, "granted, without a sidecar", func() net.Conn { return m.pod.Dial(t, peer, portMail) }, 0)
	wantGreeting(t, "granted, without a sidecar, undeclared port", func() net.Conn { return m.pod.Dial(t, peer, portMailQuiet) }, sniffing)
	heard := m.seen.Load()
	if heard != 4 {
		t.Errorf("the application saw %d connections, want the 4 that were granted", heard)
	}

	t.Run("refused", func(t *testing.T) {
		for _, port := range []uint16{portMail, portMailQuiet} {
			wantNothing(t, "no grant, by its sidecar", plain(t, stranger.Upstream("bank", "mail", port)), "")
		}
		for name, peer := range m.impostors(t) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m.wantRefused(t, peer)
			})
		}
		t.Run("no certificate", func(t *testing.T) {
			t.Parallel()
			m.wantPlainRefused(t)
		})
	})
	if seen, asked := m.seen.Load(), m.asked.Load(); seen != heard || asked != 0 {
		t.Errorf("the application saw %d connections that are not granted, and %d to its HTTP port", seen-heard, asked)
	}
}

// impostors are clients that no grant is for, whatever they say.
func (m *mail) impostors(t *testing.T) map[string]rig.Peer {
	other, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.NewCA(identity.Config{TrustDomain: "elsewhere.example"})
	if err != nil {
		t.Fatal(err)
	}
	friend, stranger := mesh.Account{Namespace: "shop", Name: "friend"}, mesh.Account{Namespace: "shop", Name: "stranger"}
	return map[string]rig.Peer{
		"no grant":                               {Account: stranger},
		"no grant, with a granted server name":   {Account: stranger, ServerName: sourceName("friend")},
		"granted, with a stranger's server name": {Account: friend, ServerName: sourceName("stranger")},
		"granted, with a name of its own":        {Account: friend, ServerName: "mail.bank"},
		"certificate of another CA":              {Account: friend, CA: other},
		"certificate of another trust domain":    {Account: friend, CA: foreign, ServerName: sourceName("friend")},
	}
}

// wantRefused sees that a peer is refused at every port: at the one that speaks
// HTTP with 403, where its certificate is one of the mesh.
func (m *mail) wantRefused(t *testing.T, peer rig.Peer) {
	for _, port := range []uint16{portMail, portMailQuiet} {
		wantNothing(t, "silent", m.pod.Dial(t, peer, port), "")
		wantNothing(t, "speaking", m.pod.Dial(t, peer, port), "EHLO me\r\n")
	}
	conn := m.pod.Dial(t, peer, portMailWeb)
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: mail.bank\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case peer.CA != nil:
		if err == nil {
			t.Errorf("HTTP without a certificate of the mesh is answered: %s", response.Status)
		}
	case err != nil:
		t.Errorf("HTTP: %v, want 403", err)
	case response.StatusCode != http.StatusForbidden:
		t.Errorf("HTTP: %s, want 403", response.Status)
	}
}

// wantPlainRefused sees that a client without a certificate is refused at every
// port, whatever it says. A sidecar waits for what has not shown yet that it is
// no TLS, so all of them wait at once.
func (m *mail) wantPlainRefused(t *testing.T) {
	words := []string{"", "EHLO me\r\n", "GET / HTTP/1.1\r\nHost: mail.bank\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01 begins like TLS"}
	var waiting sync.WaitGroup
	for _, port := range []uint16{portMail, portMailQuiet, portMailWeb} {
		for _, says := range words {
			conn := plain(t, m.pod.Inbound(port))
			waiting.Go(func() { wantNothing(t, fmt.Sprintf("plain, says %q", says), conn, says) })
		}
	}
	waiting.Wait()
}

const (
	// sniffing is how long the first bytes of a connection are waited for (PR-2).
	sniffing = 500 * time.Millisecond
	// slack is what a busy machine may add.
	slack = 2 * time.Second
	// silence is longer than a sidecar waits for the first bytes of TLS, 15 s.
	silence = 25 * time.Second
)

// wantGreeting opens a connection, says nothing, and hears the greeting.
func wantGreeting(t *testing.T, who string, dial func() net.Conn, within time.Duration) {
	t.Helper()
	conn := dial()
	started := time.Now()
	_ = conn.SetReadDeadline(started.Add(within + slack))
	text, err := bufio.NewReader(conn).ReadString('\n')
	took := time.Since(started)
	if err != nil || text != greeting {
		t.Errorf("%s: heard %q, %v within %s", who, text, err, within+slack)
	}
	t.Logf("%s: heard the greeting after %s", who, took.Round(time.Millisecond))
	_ = conn.Close()
}

// wantNothing sees that the connection is closed without a byte of an
// application. TLS may have told that it failed, which is none.
func wantNothing(t *testing.T, who string, conn net.Conn, says string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(silence))
	_, _ = io.WriteString(conn, says)
	heard, err := io.ReadAll(conn)
	if _, secured := conn.(*tls.Conn); !secured && isAlert(heard) {
		heard = nil
	}
	if len(heard) > 0 {
		t.Errorf("%s: heard %q", who, heard)
	}
	if err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s: the connection is still open after %s", who, silence)
	}
	_ = conn.Close()
}

// isAlert recognises a TLS alert, which a sidecar sends to who speaks no TLS.
func isAlert(b []byte) bool { return len(b) == 7 && bytes.HasPrefix(b, []byte{21, 3}) }
