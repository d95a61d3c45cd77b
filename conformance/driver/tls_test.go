package driver_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/forge"
)

const id = "spiffe://example.org/ns/shop/sa/buyer"

// serve starts a server that tells who called it and by which name, and returns a
// request to it.
func serve(t *testing.T, auth tls.ClientAuthType) driver.Request {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Pod", "shop/server")
		shown := "nothing"
		if chain := r.TLS.PeerCertificates; len(chain) > 0 {
			shown = chain[0].URIs[0].String()
		}
		_, _ = io.WriteString(w, shown+" to "+r.TLS.ServerName) // whoever has gone away needs no answer
	}))
	server.TLS = &tls.Config{ClientAuth: auth}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of who shows nothing
	server.StartTLS()
	t.Cleanup(server.Close)
	host, number, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return driver.Request{Host: host, Port: uint16(port)}
}

// TestOwnTLS sees that a workload shows what it is told to show, and the server
// name with it, and that what a server does not like is no answer.
func TestOwnTLS(t *testing.T) {
	authority, err := forge.New(id)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := authority.Sign(forge.Valid(id))
	if err != nil {
		t.Fatal(err)
	}
	shown.ServerName = "server.example.org"
	sender := &driver.Sender{Proxy: "127.0.0.1:1", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	send := func(r driver.Request, credentials *driver.Credentials) driver.Answer {
		t.Helper()
		r.TLS = credentials
		got, err := sender.Send(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		return got.First
	}
	asked, required := serve(t, tls.RequestClientCert), serve(t, tls.RequireAnyClientCert)
	if got := send(asked, shown); got.Body != id+" to server.example.org" || !got.Succeeded() {
		t.Errorf("a certificate: %+v", got)
	}
	if got := send(asked, new(driver.Credentials)); got.Body != "nothing to " {
		t.Errorf("none: %+v", got)
	}
	if got := send(required, new(driver.Credentials)); got.Succeeded() || !got.Closed || got.Failure == driver.NotConnected {
		t.Errorf("none where one is required: %+v; wanted a connection that is closed", got)
	}
}

func TestOwnTLSThatMeansNothing(t *testing.T) {
	sender := new(driver.Sender)
	for want, request := range map[string]driver.Request{
		"with http1 or tcp inside": {Protocol: driver.GRPC, TLS: new(driver.Credentials)},
		"tls: ":                    {TLS: &driver.Credentials{Certificate: "none", Key: "none"}},
	} {
		request.Host, request.Port = "server", 80
		if _, err := sender.Send(t.Context(), &request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; wanted a complaint with %q", err, want)
		}
	}
}
