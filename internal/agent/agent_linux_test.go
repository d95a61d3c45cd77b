package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

var (
	web             = mesh.Account{Namespace: "shop", Name: "web"}
	ledgerPrincipal = mesh.PrincipalOf(trustDomain, ledger)
	webPrincipal    = mesh.PrincipalOf(trustDomain, web)
)

// accessLog is the access logger of a listener that describes its traffic.
const accessLog = `
      access_log:
      - name: grpc
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
          common_config:
            log_name: data
            transport_api_version: V3
            buffer_flush_interval: 0.1s
            grpc_service: {envoy_grpc: {cluster_name: smi-als}}
            custom_tags:
            - {tag: smi.side, literal: {value: %s}}
            - {tag: smi.service, literal: {value: "bank/ledger:80"}}
            - {tag: smi.destination, literal: {value: "spiffe://cluster.local/ns/bank/sa/ledger"}}
            - {tag: smi.grant, literal: {value: "bank/web-reads"}}
`

const secretSourceYAML = `{resource_api_version: V3, api_config_source: {api_type: %s, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: smi-sds}}]}}`

// ledgerListener serves "ok" to holders of a certificate of the mesh.
func ledgerListener() string {
	delta, sotw := fmt.Sprintf(secretSourceYAML, "DELTA_GRPC"), fmt.Sprintf(secretSourceYAML, "GRPC")
	return `
name: data
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
filter_chains:
- transport_socket:
    name: tls
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      require_client_certificate: true
      common_tls_context:
        tls_certificate_sds_secret_configs: [{name: default, sds_config: ` + delta + `}]
        validation_context_sds_secret_config: {name: root, sds_config: ` + sotw + `}
  filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: in
` + fmt.Sprintf(accessLog, "server") + `
      http_filters: [{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
      route_config:
        virtual_hosts:
        - {name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: ok}}}]}
`
}

// webListener sends everything to the cluster "ledger", in plaintext from its
// own application.
var webListener = `
name: data
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: out
` + fmt.Sprintf(accessLog, "client") + `
      http_filters: [{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
      route_config:
        virtual_hosts:
        - {name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: ledger}}]}
`

// ledgerCluster demands the ledger's identity of whoever answers at the address,
// and makes a new connection for every few requests.
func ledgerCluster(t *testing.T, address string) string {
	t.Helper()
	host, port, _, err := hostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	sotw, delta := fmt.Sprintf(secretSourceYAML, "GRPC"), fmt.Sprintf(secretSourceYAML, "DELTA_GRPC")
	return fmt.Sprintf(`
name: ledger
type: STATIC
connect_timeout: 2s
load_assignment:
  cluster_name: ledger
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %q, port_value: %d}}}}]}]
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options: {max_requests_per_connection: 3}
    explicit_http_config: {http_protocol_options: {}}
transport_socket:
  name: tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context:
      tls_certificate_sds_secret_configs: [{name: default, sds_config: %s}]
      combined_validation_context:
        default_validation_context:
          match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: %q}}]
        validation_context_sds_secret_config: {name: root, sds_config: %s}
`, host, port, sotw, string(ledgerPrincipal), delta)
}

// servedSerial is the serial number that a server of the identity shows.
func servedSerial(ctx context.Context, config *tls.Config, address string) (string, error) {
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	return raw.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Text(16), nil
}

// Two Envoys speak mutual TLS with certificates that live four seconds. Neither
// a request nor a handshake fails while they rotate.
func TestRotationUnderTraffic(t *testing.T) {
	t.Parallel()
	ca := newCA(t, 4*time.Second)
	x := serveXDS(t, ca, ca.XDSSource())
	var serverLog, clientLog log
	x.set(t, "bank/ledger-0", []string{ledgerListener()}, nil)
	server, stopServer := runAgent(t, ledger, x, &serverLog, nil)
	ledgerAddress := dataAddress(t, server)
	x.set(t, "shop/web-0", []string{webListener}, []string{ledgerCluster(t, ledgerAddress)})
	client, stopClient := runAgent(t, web, x, &clientLog, nil)
	url := "http://" + dataAddress(t, client) + "/accounts?secret=1"

	for _, p := range []mesh.Principal{ledgerPrincipal, webPrincipal} {
		if !x.sawPeer(p) {
			t.Errorf("the xDS server never met %s", p)
		}
	}
	prober := identity.ClientTLS(keep(t, ca.Source(web)), ca.Bundle(), ledgerPrincipal)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	serials := map[string]bool{}
	requests := 0
	for len(serials) < 4 && ctx.Err() == nil {
		for range 10 {
			if err := get(ctx, http.DefaultClient, url); err != nil {
				t.Fatalf("request %d: %v", requests, err)
			}
			requests++
		}
		serial, err := servedSerial(ctx, prober, ledgerAddress)
		if err != nil {
			t.Fatalf("after %d requests: %v", requests, err)
		}
		serials[serial] = true
	}
	if len(serials) < 4 {
		t.Errorf("%d certificates were served in 15 s; want at least 4", len(serials))
	}
	t.Logf("%d requests, %d certificates", requests, len(serials))

	// No certificate, no answer.
	if _, err := servedSerial(ctx, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, ledgerAddress); err == nil {
		t.Error("a client without a certificate was let in")
	}
	checkLog(t, &serverLog, accesslog.Server)
	checkLog(t, &clientLog, accesslog.Client)
	checkStopped(t, server, stopServer)
	checkStopped(t, client, stopClient)
}

// checkLog waits for an entry and looks at it.
func checkLog(t *testing.T, l *log, side accesslog.Side) {
	t.Helper()
	eventually(t, 5*time.Second, "an access log entry", func(context.Context) error {
		if len(l.all()) == 0 {
			return fmt.Errorf("none on the side of the %s", side)
		}
		return nil
	})
	e := l.all()[0]
	if e.Side != side || e.Source.Principal != webPrincipal || e.Source.Account != web ||
		e.Destination.Principal != ledgerPrincipal || e.Destination.Account != ledger {
		t.Errorf("the %s's entry is of %v to %v on side %q", side, e.Source, e.Destination, e.Side)
	}
	if e.Method != http.MethodGet || e.Path != "/accounts" || e.Code != 200 || e.Service != "bank/ledger:80" || e.Grant != "bank/web-reads" || e.Denied {
		t.Errorf("the %s's entry is %+v", side, e)
	}
	if e.Duration <= 0 || e.Duration > 10*time.Second || time.Since(e.Time) > time.Minute {
		t.Errorf("the %s's entry is of %s and took %s", side, e.Time, e.Duration)
	}
	if local := map[accesslog.Side]accesslog.Peer{accesslog.Server: e.Destination, accesslog.Client: e.Source}[side]; local.Pod == "" || local.Workload == "" {
		t.Errorf("the %s's entry does not know its own pod: %+v", side, local)
	}
}

func checkStopped(t *testing.T, a *Agent, stop func()) {
	t.Helper()
	stop()
	if err := a.Admin().Ready(context.Background()); err == nil {
		t.Error("an Envoy answers though its agent has ended")
	}
	if _, err := os.Stat(a.socket()); err == nil {
		t.Error("the agent's socket is still there")
	}
}

// A proxy takes its configuration from the xDS server's identity alone, not
// from any holder of a certificate of the mesh.
func TestEnvoyRefusesAnotherXDSServer(t *testing.T) {
	t.Parallel()
	ca := newCA(t, 0)
	x := serveXDS(t, ca, ca.Source(web))
	x.set(t, "bank/ledger-0", []string{ledgerListener()}, nil)
	a, _ := runAgent(t, ledger, x, nil, nil)
	eventually(t, 10*time.Second, "a refusal", func(ctx context.Context) error {
		n, err := a.Admin().Stat(ctx, "cluster.smi-xds.ssl.fail_verify_san")
		if err == nil && n == 0 {
			err = fmt.Errorf("no connection was refused yet")
		}
		return err
	})
	if x.sawPeer(ledgerPrincipal) {
		t.Error("Envoy opened a stream to a server of another identity")
	}
	if err := a.Admin().Ready(context.Background()); err == nil {
		t.Error("Envoy is ready without configuration")
	}
}

// An Envoy that ends is replaced by one that serves the same.
func TestAgentReplacesItsEnvoy(t *testing.T) {
	t.Parallel()
	ca := newCA(t, 0)
	x := serveXDS(t, ca, ca.XDSSource())
	x.set(t, "bank/ledger-0", []string{ledgerListener()}, nil)
	exits := make(chan Exit, 8)
	a, _ := runAgent(t, ledger, x, nil, func(e Exit) { exits <- e })
	before := dataAddress(t, a)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := a.Admin().Post(ctx, "/quitquitquit"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-exits:
		wantError(t, e.Err, "exit status 0")
	case <-ctx.Done():
		t.Fatal("nobody was told that Envoy ended")
	}
	prober := identity.ClientTLS(keep(t, ca.Source(web)), ca.Bundle(), ledgerPrincipal)
	if _, err := servedSerial(ctx, prober, dataAddress(t, a)); err != nil {
		t.Errorf("after a restart (before at %s): %v", before, err)
	}
}

func TestAgentRefusesAnothersCertificate(t *testing.T) {
	t.Parallel()
	ca := newCA(t, 0)
	a, err := New(Config{
		TrustDomain: trustDomain, Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, ServiceAccount: "ledger",
		Source: ca.Source(web), XDSAddress: "127.0.0.1:1", Dir: t.TempDir() + "/agent", Envoy: Envoy{Binary: "/bin/false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	wantError(t, a.Run(ctx), "the certificate is for "+string(webPrincipal), "bank/ledger-0")
}

func TestAgentStopsBeforeItHasACertificate(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 8)
	source := identity.SourceFunc(func(ctx context.Context, _ []byte) ([]byte, []byte, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	a, err := New(Config{
		TrustDomain: trustDomain, Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, ServiceAccount: "ledger",
		Source: source, XDSAddress: "127.0.0.1:1", Dir: t.TempDir() + "/agent", Envoy: Envoy{Binary: "/bin/false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
}
