package envoy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

// live is a town of real Envoys and applications.
type live struct {
	town     *town
	ca       *envoytest.CA
	renderer *Renderer
	epochs   Epochs
	envoys   map[string]*envoytest.Envoy
	greeted  chan struct{}
}

const patience = 10 * time.Second

// startLive starts the applications and a sidecar for each of the accounts.
func startLive(t *testing.T, binary string, w *town, o Options, accounts ...mesh.Account) *live {
	t.Helper()
	l := &live{town: w, ca: envoytest.NewCA(t), renderer: New(o), envoys: map[string]*envoytest.Envoy{}, greeted: make(chan struct{}, 1000)}
	for _, a := range []mesh.Account{ledger, canary} {
		app := appAddress(w.address(a))
		serveHTTP(t, app, portHTTP, a.Name, false)
		serveHTTP(t, app, portHTTP2, a.Name, true)
		serveGreeting(t, app, portTCP, l.greeted)
		serveGreeting(t, app, portUndeclared, l.greeted)
	}
	m := w.mesh()
	rendered := l.renderer.Render(m, w.proxies(m), l.epochs)
	for _, a := range accounts {
		l.envoys[a.String()] = envoytest.Start(t, envoytest.Config{
			Binary: binary, CA: l.ca, Principal: principal(a), Resources: bodies(t, rendered[a.String()]), DrainSeconds: 2, LogAddress: w.logs,
		})
	}
	return l
}

// update renders the town again and gives every Envoy what it gets now.
func (l *live) update(t *testing.T) {
	t.Helper()
	m := l.town.mesh()
	rendered := l.renderer.Render(m, l.town.proxies(m), l.epochs)
	for node, e := range l.envoys {
		e.Update(t, bodies(t, rendered[node]))
	}
}

func (l *live) accepted(t *testing.T) {
	t.Helper()
	for node, e := range l.envoys {
		if bad := e.Rejections(t); bad != "" {
			t.Errorf("%s refused some of its resources:\n%s", node, bad)
		}
	}
}

// serveHTTP runs an application that says who it is and what it was asked.
func serveHTTP(t *testing.T, address string, port int, name string, http2Only bool) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("app", name)
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
			w.WriteHeader(http.StatusSwitchingProtocols)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/stream") {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprintln(w, "more"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s %s %s xfcc=%q", r.Proto, r.Method, r.Host, r.RequestURI, r.Header["X-Forwarded-Client-Cert"])
		for k := range r.Header {
			if strings.HasPrefix(k, "X-Envoy-") {
				_, _ = fmt.Fprintf(w, " %s", k)
			}
		}
	})}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(!http2Only)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// serveGreeting runs an application that speaks first and then echoes. It
// reports every connection.
func serveGreeting(t *testing.T, address string, port int, greeted chan<- struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				if strings.HasSuffix(listener.Addr().String(), fmt.Sprint(portUndeclared)) {
					if first, err := peekSoon(c, in); err == nil && strings.Contains(first, "HTTP/") {
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
						return
					}
				}
				greeted <- struct{}{}
				if _, err := io.WriteString(c, "hello\n"); err == nil {
					_, _ = io.Copy(c, in)
				}
			}()
		}
	}()
}

// peekSoon returns the first line if the client speaks within a moment.
func peekSoon(c net.Conn, in *bufio.Reader) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	b, err := in.Peek(16)
	return string(b), err
}

// reply is what a client saw.
type reply struct {
	status int
	app    string
	body   string
}

func (r reply) String() string { return fmt.Sprintf("%d %s %q", r.status, r.app, r.body) }

func do(client *http.Client, method, target string, header ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header.Get("app"), string(body)}, err
}

// byProxy is a client that uses the account's sidecar as its HTTP proxy.
func (l *live) byProxy(t *testing.T, a mesh.Account) *http.Client {
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", l.town.address(a), DefaultOutboundPort)})}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// direct is a client that speaks mutual TLS to a server as the account, with a
// server name of its choice.
func (l *live) direct(t *testing.T, a mesh.Account, serverName string) *http.Client {
	transport := &http.Transport{TLSClientConfig: l.ca.Client(t, principal(a), serverName), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (l *live) url(a mesh.Account, port int, path string) string {
	return fmt.Sprintf("https://%s:%d%s", l.town.address(a), port, path)
}

// dial opens a connection to a port of the ledger as the account.
func (l *live) dial(t *testing.T, a mesh.Account, serverName string, port int) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", fmt.Sprintf("%s:%d", l.town.address(ledger), port), l.ca.Client(t, principal(a), serverName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// upstream opens a connection to the listener of a Service on the account's
// sidecar.
func (l *live) upstream(t *testing.T, a mesh.Account, service string) net.Conn {
	t.Helper()
	for i, s := range l.town.mesh().Services {
		if s.Name.Name != service {
			continue
		}
		c, err := net.Dial("tcp", net.JoinHostPort(l.town.address(a), strconv.Itoa(20000+i)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	t.Fatalf("no service %s", service)
	return nil
}

// read returns what arrives first, or io.EOF for a connection that was closed.
func read(c net.Conn) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && strings.Contains(err.Error(), "reset") {
		err = io.EOF
	}
	return string(b[:n]), err
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if got, err := read(c); got != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := read(c); got != "" || err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("read %q, %v, want the connection closed", got, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func wantReply(t *testing.T, client *http.Client, method, target string, want reply, header ...string) reply {
	t.Helper()
	got, err := do(client, method, target, header...)
	if err != nil || got.status != want.status || got.app != want.app || !strings.Contains(got.body, want.body) {
		t.Errorf("%s %s: got %v, %v, want %v", method, target, got, err, want)
	}
	return got
}
