package envoy

import (
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/smi-project/smi/mesh"
)

// AC-16 and AC-18: whom a port serves in each mode.
func TestModes(t *testing.T) {
	eachEnvoy(t, 216, func(t *testing.T, binary string, address func(mesh.Account) string) {
		for _, tt := range []struct {
			name            string
			mode            mesh.Mode
			plaintext       bool
			stranger, plain bool
		}{
			{"permissive", mesh.Permissive, false, true, true},
			{"audit", mesh.Audit, false, true, true},
			{"plaintext port", mesh.Strict, true, false, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w := &town{mode: tt.mode, plaintext: tt.plaintext, grants: webGrants(), address: address}
				l := startLive(t, binary, w, Options{}, ledger)
				// The canary has an identity and no grant.
				want := map[bool]reply{true: {status: 200, app: "ledger"}, false: {status: 403}}
				stranger := l.direct(t, canary, SourceName(principal(canary)))
				wantReply(t, stranger, "GET", l.url(ledger, portHTTP, "/any"), want[tt.stranger])
				wantReply(t, l.direct(t, web, SourceName(principal(web))), "GET", l.url(ledger, portHTTP, "/accounts"), reply{200, "ledger", "xfcc=[\"URI="})
				// All of these wait for the server to speak; they wait together.
				var greeted, closed []net.Conn
				for _, port := range []int{portTCP, portUndeclared} {
					greeted = append(greeted, l.dial(t, web, SourceName(principal(web)), port))
					c, err := newPlain(net.JoinHostPort(address(ledger), strconv.Itoa(port)))
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = c.Close() })
					greeted = append(greeted, c)
					c = l.dial(t, canary, SourceName(principal(canary)), port)
					if tt.stranger {
						greeted = append(greeted, c)
					} else {
						closed = append(closed, c)
					}
				}
				plain := func(port, path string) string { return "http://" + address(ledger) + ":" + port + path }
				wantReply(t, http.DefaultClient, "GET", plain("8080", "/any"), reply{200, "ledger", "xfcc=[]"}, "X-Forwarded-Client-Cert", "URI=spiffe://cluster.local/ns/shop/sa/web")
				wantReply(t, http.DefaultClient, "GET", plain("7000", "/any"), reply{200, "", "ok"})
				for _, c := range greeted {
					wantRead(t, c, "hello\n")
				}
				for _, c := range closed {
					wantClosed(t, c)
				}
				l.accepted(t)
			})
		}
	})
}
