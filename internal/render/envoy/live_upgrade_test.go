package envoy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/smi-project/smi/mesh"
)

// PR-3: the upgrade websocket is judged as the GET that it is, others and
// CONNECT are refused; a denied gRPC call is told so in gRPC (AC-12).
func TestUpgradesAndGRPC(t *testing.T) {
	eachEnvoy(t, 224, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address}
		l := startLive(t, binary, w, Options{}, ledger, web)
		for _, tt := range []struct{ request, status, body string }{
			{"GET /accounts HTTP/1.1\r\nHost: ledger.bank\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "101", ""},
			{"GET /no HTTP/1.1\r\nHost: ledger.bank\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "403", "no TrafficTarget allows"},
			{"GET /accounts HTTP/1.1\r\nHost: ledger.bank\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", "403", "smi: upgrades"},
			{"CONNECT ledger.bank:80 HTTP/1.1\r\nHost: ledger.bank:80\r\n\r\n", "40", ""},
			{"GET /accounts HTTP/1.0\r\nHost: ledger.bank\r\n\r\n", "200", "GET"},
		} {
			// By the proxy, and to the server's sidecar itself.
			proxy, err := newPlain(fmt.Sprintf("%s:%d", address(web), DefaultOutboundPort))
			if err != nil {
				t.Fatal(err)
			}
			server := l.dial(t, web, SourceName(principal(web)), portHTTP)
			for _, c := range []net.Conn{proxy, server} {
				if _, err := io.WriteString(c, tt.request); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatalf("%q: %v", tt.request, err)
				}
				var body []byte
				if resp.StatusCode != http.StatusSwitchingProtocols {
					body, _ = io.ReadAll(resp.Body)
				}
				if !strings.HasPrefix(resp.Status, tt.status) || !strings.Contains(string(body), tt.body) {
					t.Errorf("%q: got %s %q, want %s %q", tt.request, resp.Status, body, tt.status, tt.body)
				}
				_ = c.Close()
			}
		}
		client := l.direct(t, web, SourceName(principal(web)))
		for method, want := range map[string]string{"Read": "", "Write": "7"} {
			req, err := http.NewRequest(http.MethodPost, l.url(ledger, portHTTP2, "/bank.Ledger/"+method), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/grpc")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.Header.Get("Grpc-Status"); got != want || resp.StatusCode != 200 {
				t.Errorf("%s: status %d, grpc-status %q, want %q", method, resp.StatusCode, got, want)
			}
		}
		l.accepted(t)
	})
}

// PR-5: what is no name of the mesh passes, and nothing else of the sidecar's
// shows.
func TestOutsidePasses(t *testing.T) {
	eachEnvoy(t, 228, func(t *testing.T, binary string, address func(mesh.Account) string) {
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address}
		l := startLive(t, binary, w, Options{}, web)
		host := outsideAddress(t)
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", "outside")
			_, _ = fmt.Fprintf(w, "%s %v", r.RequestURI, r.Header)
		})}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
		got := wantReply(t, l.byProxy(t, web), "POST", "http://"+listener.Addr().String()+"/a?b", reply{200, "", "/a?b"})
		for _, trace := range []string{"X-Envoy", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Client-Cert", "Spiffe"} {
			if strings.Contains(got.body, trace) {
				t.Errorf("what left the mesh shows %s: %s", trace, got.body)
			}
		}
		for i, s := range w.mesh().Services {
			if s.Name.Name == "ledger" {
				wantReply(t, http.DefaultClient, "GET", fmt.Sprintf("http://%s:%d/accounts", address(web), 20000+i), reply{status: 503})
			}
		}
		l.accepted(t)
	})
}

// outsideAddress is an address of this machine that is not a loopback one.
func outsideAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback ones: give it one, such as by `ip link add smi0 type dummy`")
	return ""
}
