//go:build linux

package live_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// vault is an application that writes down every byte it gets, and believes
// nothing to be a request but what looks like one.
type vault struct {
	pod *rig.Pod
	log *recorder

	mu  sync.Mutex
	got bytes.Buffer
}

var ann = rig.Peer{Account: mesh.Account{Namespace: "shop", Name: "ann"}, Protocols: []string{"http/1.1"}}

// startVault lets ann send GET and POST to /open, and anything with the header
// x-any, and no bytes that are not HTTP.
func startVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{log: &recorder{}}
	r := rig.Start(t, []rig.Slot{{Namespace: "bank", Name: "vault-0", ServiceAccount: "vault"}, {Namespace: "shop", Name: "ann-0", ServiceAccount: "ann"}},
		rig.Options{Sink: v.log})
	v.pod = r.Pods["bank/vault-0"]
	pod := v.pod.Object()
	pod.Labels = map[string]string{"app": "vault"}
	for _, port := range []uint16{portHTTP, portUndeclared} {
		v.pod.Serve(t, port, v.serve)
		pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, corev1.ContainerPort{ContainerPort: int32(port)})
	}
	r.Apply(slices.Concat(newAccounts("bank", "vault"), newAccounts("shop", "ann"), []store.Object{
		pod,
		newService(in("bank", "vault"), "vault", newPort("http", portHTTP, portHTTP), newPort("any", portUndeclared, portUndeclared)),
		newGroup(in("bank", "open"), specs.HTTPMatch{Name: "open", PathRegex: "/open", Methods: []string{http.MethodGet, http.MethodPost}},
			specs.HTTPMatch{Name: "any", Headers: specs.NewHTTPHeaders(specs.HTTPHeader{Name: "x-any", Value: "1"})}),
		newTarget(in("bank", "ann"), "vault", shop("ann"), byGroup("open")),
	})...)
	return v
}

func (v *vault) serve(conn net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		v.mu.Lock()
		v.got.Write(buffer[:n])
		v.mu.Unlock()
		for range bytes.Count(buffer[:n], []byte("\r\n\r\n")) {
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"); err != nil {
				return
			}
		}
	}
}

// saw is what the application got since it was asked last.
func (v *vault) saw() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer v.got.Reset()
	return v.got.String()
}

// quiet is how long nothing has to come for an answer to count as the last one.
const quiet = 150 * time.Millisecond

// attack sends the bytes and returns the status of every answer, which are
// expected to be so many.
func (v *vault) attack(t *testing.T, port uint16, text string, answers int) []string {
	t.Helper()
	conn := v.pod.Dial(t, ann, port)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	var all []string
	for reader := bufio.NewReader(conn); ; {
		line, err := reader.ReadString('\n')
		if status, ok := strings.CutPrefix(line, "HTTP/1."); ok {
			all = append(all, status[2:5])
		}
		if err != nil {
			return all
		}
		if len(all) >= answers {
			_ = conn.SetReadDeadline(time.Now().Add(quiet))
		}
	}
}

const toVault = "Host: vault.bank:8080\r\n"

// theEnd is a request that ends its connection, answered with 403.
const theEnd = "GET /end HTTP/1.1\r\nConnection: close\r\n" + toVault + "\r\n"

func get(path string, more ...string) string {
	return "GET " + path + " HTTP/1.1\r\n" + toVault + strings.Join(append(more, ""), "\r\n") + "\r\n"
}

func post(body string, more ...string) string {
	return "POST /open HTTP/1.1\r\n" + toVault + strings.Join(append(more, ""), "\r\n") + "\r\n" + body
}

// attacks that must not bring the word secret, or forged, to the application.
// Where there is nothing else to refuse it, its answer is the one given.
var attacks = []struct{ name, text, want string }{
	{"fragment behind", get("/open#/../secret"), "400"},
	{"fragment before", get("/secret#/open"), "400"},
	{"dots", get("/open/../secret"), "403"},
	{"encoded dots", get("/open/%2e%2E/secret"), "403"},
	{"one encoded dot", get("/open/.%2e/secret"), "403"},
	{"backslashes", get(`/open\..\secret`), "403"},
	{"encoded slash", get("/open%2f..%2Fsecret"), "400"},
	{"encoded backslash", get("/open%5c..%5Csecret"), "400"},
	{"encoded dots with parameters", get("/open/%2e%2e;/secret"), "400"},
	{"one encoded dot with parameters", get("/open/.%2E;v=1/secret"), "400"},
	{"one dot with parameters", get("/open/%2e;/%2e%2e;/secret"), "400"},
	{"slashes", get("//open/secret"), "403"},
	{"encoded zero", get("/open%00/secret"), "400"},
	{"zero", get("/open\x00/secret"), "400"},
	{"overlong dots", get("/open/\xc0\xae\xc0\xae/secret"), "400"},
	{"whole URL", get("http://vault.bank:8080/secret"), "403"},
	{"whole URL with dots", get("http://vault.bank:8080/open/../secret"), "403"},
	{"no slash", get("open/secret"), "400"},
	{"query first", get("?/open/secret"), "400"},
	{"two paths", get("/open /secret"), "400"},
	{"method in lower case", "get /open/secret HTTP/1.1\r\n" + toVault + "\r\n", "400"},
	{"other method", "DELETE /open/secret HTTP/1.1\r\n" + toVault + "\r\n", "403"},
	{"CONNECT", "CONNECT /open HTTP/1.1\r\n" + toVault + "\r\n" + get("/secret"), "400"},
	{"HTTP/0.9", "GET /secret\r\n\r\n", "400"},
	{"pseudo header", get("/open/secret", ":path: /open"), "400"},
	{"space before the colon", get("/open/secret", "X-A : 1"), "400"},
	{"no name", get("/open/secret", ": 1"), "400"},
	{"zero in a value", get("/open/secret", "X-A: a\x00b"), "400"},
	{"a header that the connection keeps", get("/secret", "X-Any: 1", "Connection: x-any"), "403"},
	{"the identity, with underscores", get("/open", "x_forwarded_client_cert: forged", "X_Forwarded-Client_cert: forged"), "200"},
	{"the identity", get("/open", "X-Forwarded-Client-Cert: forged", "x-forwarded-client-cert: forged"), "200"},
	{"what steers Envoy", get("/secret", "X-Envoy-Original-Path: /open"), "403"},
	{"two lengths", post("secret", "Content-Length: 4", "Content-Length: 40"), "400"},
	{"length with a sign", post("abcd"+get("/secret"), "Content-Length: +4"), "400"},
	{"length and chunks", post("0\r\n\r\n"+get("/secret"), "Content-Length: 4", "Transfer-Encoding: chunked"), "400"},
	{"unknown encoding", post(get("/secret"), "Transfer-Encoding: xchunked"), "501"},
	{"encoding with a space", post("0\r\n\r\n"+get("/secret"), "Transfer-Encoding : chunked"), "400"},
	{"line feed in a chunk's extension", post("4;a=\nb\r\nsecret\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "400"},
	{"pipelined", get("/open") + get("/secret") + get("/open"), "200 403"},
	{"pipelined behind line feeds", "GET /open HTTP/1.1\nHost: a\n\n" + get("/secret"), "200 403"},
	{"WebSocket that was not taken", get("/open", "Connection: Upgrade", "Upgrade: websocket") + get("/secret"), "200"},
	{"several upgrades", get("/open", "Connection: Upgrade", "Upgrade: websocket, h2c") + get("/secret"), "403"},
	{"upgrade to HTTP/2", get("/open", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk") + get("/secret"), "200 403"},
	{"head too large", get("/open/secret" + strings.Repeat("a", 70000)), "431"},
}

// TestAttacks is what a granted peer that writes its own bytes tries on a port
// that is declared, and on one that is told by its bytes.
func TestAttacks(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	for _, port := range []uint16{portHTTP, portUndeclared} {
		for _, a := range attacks {
			statuses := v.attack(t, port, a.text, len(strings.Fields(a.want)))
			got := v.saw()
			if strings.Contains(got, "secret") || strings.Contains(got, "forged") {
				t.Errorf("port %d: %s: the application got %q", port, a.name, got)
			}
			if s := strings.Join(statuses, " "); port == portHTTP && !strings.HasPrefix(s, a.want) {
				t.Errorf("port %d: %s: answered %q, want %s", port, a.name, s, a.want)
			}
		}
		// A newer Envoy resolves these, an older one does not.
		for _, path := range []string{"/open/..;/secret", "/open/..;v=1/secret", "/open/.;/..;/secret"} {
			if s := v.attack(t, port, get(path), 1); len(s) == 0 || s[0] != "403" && s[0] != "400" || strings.Contains(v.saw(), "secret") {
				t.Errorf("port %d: %s: answered %v", port, path, s)
			}
		}
		// What decoding once would turn into an escape stays what it is.
		for _, path := range []string{"/open/%2%65%2%65/a", "/open/%%32e%%32%65/a", "/open%2%66..%%32f/a", "/open%5%63..%%35C/a"} {
			v.attack(t, port, get(path), 1)
			if got := strings.ToLower(v.saw()); !strings.Contains(got, "%25") || strings.Contains(got, "%2e") || strings.Contains(got, "%2f") || strings.Contains(got, "%5c") {
				t.Errorf("port %d: %s: the application got %q", port, path, got)
			}
		}
	}
	t.Run("log", v.wantLogged)
	t.Run("resumption", v.wantNothingResumed)
}

// wantLogged sees that no header keeps a denial out of the log (AC-12).
func (v *vault) wantLogged(t *testing.T) {
	for _, header := range []string{"X-Request-Id", "User-Agent", "Referer", "X-Forwarded-For", "X-Forwarded-Proto", "Content-Type"} {
		path := "/log/" + header
		v.attack(t, portHTTP, get(path, header+": \xff\xc3\"\\"), 1)
		rig.Eventually(t, soon, "the log tells of the request with a strange "+header, func() bool { return v.log.denied(path) })
	}
}

// wantNothingResumed sees that every connection proves its identity anew: a
// ticket would outlive the certificate (ID-2).
func (v *vault) wantNothingResumed(t *testing.T) {
	config := v.pod.TLS(t, ann)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 3 {
		conn, err := tls.Dial("tcp", v.pod.Inbound(portHTTP), config)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, theEnd)
		if answer, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 403")) {
			t.Errorf("answered %q, %v", answer, err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
		_ = conn.Close()
	}
}

// recorder keeps the paths whose denial the log told of.
type recorder struct {
	mu    sync.Mutex
	paths []string
}

// Observe implements accesslog.Sink.
func (r *recorder) Observe(e *accesslog.Entry) {
	if e.Denied {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paths = append(r.paths, e.Path)
	}
}

func (r *recorder) denied(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.paths, path)
}
