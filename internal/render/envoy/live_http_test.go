package envoy

import (
	"fmt"
	"testing"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

// eachEnvoy runs a test on every Envoy, with loopback networks of its own, one
// per Envoy from the given one on. They lie above those of smi run and of the
// rig, whose tests may run at the same time.
func eachEnvoy(t *testing.T, network int, test func(t *testing.T, binary string, address func(mesh.Account) string)) {
	t.Parallel()
	for release, binary := range envoytest.Binaries(t) {
		network++
		address := fixedAddress(network)
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			test(t, binary, address)
		})
	}
}

func TestHTTPThroughTwoSidecars(t *testing.T) {
	eachEnvoy(t, 192, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address, numbered: true}
		l := startLive(t, binary, w, Options{}, ledger, canary, web, cart)
		byWeb, byCart := l.byProxy(t, web), l.byProxy(t, cart)
		ok := reply{status: 200, app: "ledger"}

		for _, name := range []string{"ledger.bank", "ledger.bank:80", "LEDGER.Bank.svc", "ledger.bank.svc.cluster.local.", "ledger.bank.:80"} {
			wantReply(t, byWeb, "GET", "http://"+name+"/accounts/1", ok)
		}
		wantReply(t, byWeb, "GET", "http://ledger.bank/accounts", reply{200, "ledger", `HTTP/1.1 GET ledger.bank /accounts xfcc=["URI=` + string(principal(web)) + `"]`},
			"X-Forwarded-Client-Cert", "URI=spiffe://cluster.local/ns/bank/sa/root", "X-Envoy-Original-Path", "/admin")
		wantReply(t, byWeb, "GET", "http://ledger.bank/admin", reply{403, "", "no TrafficTarget allows " + string(principal(web)) + " to GET /admin here\n"}, "X-Envoy-Original-Path", "/accounts")
		wantReply(t, byWeb, "POST", "http://ledger.bank/accounts", reply{403, "", "smi:"})
		wantReply(t, byWeb, "GET", "http://ledger.bank/x?q=/accounts", reply{status: 403})
		wantReply(t, byWeb, "GET", "http://ledger.bank/accounts/%2e%2e/admin", reply{status: 403})
		wantReply(t, byWeb, "GET", "http://ledger.bank/accounts/..%2fadmin", reply{status: 400})
		wantReply(t, byWeb, "GET", "http://LEDGER.bank:80/hosted?x", ok, "X-Tag", "b")
		wantReply(t, byWeb, "GET", "http://ledger.bank/hosted/", reply{status: 403}, "X-Tag", "b")
		wantReply(t, byWeb, "GET", "http://ledger.bank/hosted", reply{status: 403}, "X-Tag", "a", "X-Tag", "b")
		wantReply(t, byWeb, "GET", "http://ledger.bank/hosted", reply{status: 403})

		// Splits: by match, and the backend judges for itself (TS-10).
		wantReply(t, byWeb, "GET", "http://ledger.bank/beta", reply{status: 200, app: "canary"})
		wantReply(t, byWeb, "PUT", "http://ledger.bank/accounts", reply{status: 403}, "X-Tag", "b1")
		wantReply(t, byWeb, "GET", "http://canary.bank/beta", reply{status: 200, app: "canary"})
		wantReply(t, byWeb, "GET", "http://canary.bank/other", reply{status: 403})

		// HTTP/1.1 in, HTTP/2 to an application that speaks only that.
		wantReply(t, byWeb, "GET", "http://grpc.bank/accounts", reply{200, "ledger", "HTTP/2.0 GET"})
		wantReply(t, byWeb, "GET", "http://db.bank:5432/", reply{421, "", "bank/db:5432 speaks TCP"})
		for _, name := range []string{"127.0.0.1:1", "127.0.0.2", "127.0.0.1", "127.1", "0.0.0.1", "[::1]", "[::1]:1", "[::]:1", "[::ffff:127.0.0.1]:1"} {
			wantReply(t, byWeb, "GET", "http://"+name+"/", reply{421, "", "loopback"})
		}
		// What is in a namespace of the mesh is the mesh's, whoever has that name.
		for _, name := range []string{"ledger.bank:81", "nobody.bank", "NoBody.BANK.Svc:7", "nobody.bank.svc.cluster.local.", "nobody"} {
			wantReply(t, byWeb, "GET", "http://"+name+"/", reply{403, "", "if there is such a Service and port"})
		}
		// Longer names are not Services', and are looked up outside (PR-5).
		for _, name := range []string{"nobody.smi-test.bank", "nobody.smi-test.bank.svc:80"} {
			wantReply(t, byWeb, "GET", "http://"+name+"/", reply{503, "", "DNS resolution failure"})
		}

		// cart has a grant at the ledger's port for anything, but reaches only "misc".
		wantReply(t, byCart, "GET", "http://ledger.bank/accounts", reply{403, "", "no TrafficTarget allows " + string(principal(cart)) + " to call ledger.bank"})
		wantReply(t, byCart, "GET", "http://ledger/accounts", reply{403, "", "smi:"})
		l.accepted(t)
	})
}

// What a peer sends as its server name must never give it another's grants.
func TestServerNameProvesNothing(t *testing.T) {
	eachEnvoy(t, 196, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address}
		l := startLive(t, binary, w, Options{}, ledger)
		accounts := l.url(ledger, portHTTP, "/accounts")
		wantReply(t, l.direct(t, web, SourceName(principal(web))), "GET", accounts, reply{200, "ledger", "HTTP/2.0"})
		for _, name := range []string{SourceName(principal(web)), "other.smi", "ledger.bank", SourceName(principal(canary))} {
			wantReply(t, l.direct(t, canary, name), "GET", accounts, reply{403, "", string(principal(canary))})
		}
		for _, name := range []string{SourceName(principal(web)), "other.smi", SourceName(principal(canary))} {
			for _, port := range []int{portTCP, portUndeclared} {
				wantClosed(t, l.dial(t, canary, name, port))
				c := l.dial(t, canary, name, port)
				_, _ = c.Write([]byte("let me in\n"))
				wantClosed(t, c)
			}
		}
		if n := len(l.greeted); n != 0 {
			t.Errorf("%d connections reached the application", n)
		}
		for _, port := range []int{portHTTP, portHTTP2, portTCP, portUndeclared} {
			plain, err := newPlain(fmt.Sprintf("%s:%d", address(ledger), port))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = plain.Close() }()
			_, _ = plain.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			wantClosed(t, plain)
		}
		l.accepted(t)
	})
}
