package envoy

import (
	"net"
	"testing"

	"github.com/smi-project/smi/mesh"
)

func newPlain(address string) (net.Conn, error) { return net.Dial("tcp", address) }

func TestConnectionsThroughTwoSidecars(t *testing.T) {
	eachEnvoy(t, 200, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address}
		l := startLive(t, binary, w, Options{}, ledger, web, cart)

		// The server speaks first.
		for _, service := range []string{"db", "misc"} {
			c := l.upstream(t, web, service)
			wantRead(t, c, "hello\n")
			_, _ = c.Write([]byte("echo"))
			wantRead(t, c, "echo")
		}
		before := len(l.greeted)
		wantClosed(t, l.upstream(t, cart, "db"))
		c := l.upstream(t, cart, "misc")
		_, _ = c.Write([]byte("\x00binary"))
		wantClosed(t, c)
		wantClosed(t, l.upstream(t, cart, "misc"))
		if n := len(l.greeted); n != before {
			t.Errorf("%d connections without a grant reached the application", n-before)
		}

		// HTTP on the same port is judged as HTTP.
		for _, a := range []mesh.Account{web, cart} {
			wantReply(t, l.byProxy(t, a), "GET", "http://misc.bank:7000/x", reply{200, "", "ok"})
		}
		l.accepted(t)
	})
}
