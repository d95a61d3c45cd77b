package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// connectionBootstrap has a TCP listener whose traffic is described in every
// way that the access log service reads: a literal tag, formatted tags, and the
// metadata of an RBAC filter that only watches.
const connectionBootstrap = `
node: {id: a, cluster: b}
admin: {address: {pipe: {path: %q, mode: 384}}}
static_resources:
  listeners:
  - name: data
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: state
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config
          on_new_connection:
          - {object_key: smi.source, factory_key: envoy.string, format_string: {text_format_source: {inline_string: 'spiffe://cluster.local/ns/shop/sa/web'}}}
      - name: envoy.filters.network.rbac
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC
          stat_prefix: x
          shadow_rules: {action: ALLOW, policies: {}}
      - name: tcp
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: x
          cluster: app
          access_log:
          - name: grpc
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig
              common_config:
                log_name: data
                transport_api_version: V3
                buffer_flush_interval: 0.1s
                grpc_service: {envoy_grpc: {cluster_name: smi-als}}
                custom_tags:
                - {tag: smi.side, literal: {value: server}}
                - {tag: smi.source, value: '%%FILTER_STATE(smi.source:PLAIN)%%'}
                - {tag: smi.service, value: 'bank/ledger:%%START_TIME(9)%%'}
  clusters:
  - name: app
    load_assignment: {cluster_name: app, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %q, port_value: %d}}}}]}]}
  - name: smi-als
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: smi-als, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: %q}}}}]}]}
`

// Every supported Envoy describes connections the way the package reads them.
func TestConnectionLog(t *testing.T) {
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := app.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	t.Cleanup(func() { app.Close() })
	for _, version := range tool.EnvoyReleases() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			binary, err := tool.EnvoyVersion(version)
			if err != nil {
				t.Fatal(err)
			}
			checkConnectionLog(t, binary, app.Addr().String())
		})
	}
}

func checkConnectionLog(t *testing.T, binary, app string) {
	t.Helper()
	host, port, _, err := hostPort(app)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &Envoy{
		Binary: binary, BootstrapPath: filepath.Join(dir, "b.yaml"), AdminSocket: filepath.Join(dir, "admin.sock"), Logger: testLogger(t),
	}
	socket := filepath.Join(dir, "als.sock")
	if err := os.WriteFile(e.BootstrapPath, fmt.Appendf(nil, connectionBootstrap, e.AdminSocket, host, port, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	var entries log
	serveLog(t, socket, &entries)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	conn, err := net.Dial("tcp", dataAddress(t, &Agent{envoy: *e}))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(conn); err != nil || string(body) != "hello" {
		t.Errorf("the application says %q, %v", body, err)
	}
	conn.Close()
	eventually(t, 5*time.Second, "an entry", func(context.Context) error {
		if len(entries.all()) == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	got := entries.all()[0]
	if got.Protocol != accesslog.TCP || got.Side != accesslog.Server || got.UpstreamCluster != "app" || got.UpstreamHost != app {
		t.Errorf("%+v", got)
	}
	if got.Source.Principal != webPrincipal || got.Source.Account != web {
		t.Errorf("the source, from filter state, is %+v", got.Source)
	}
	if got.Service != "bank/ledger:9" {
		t.Errorf("the service, from a formatted tag, is %q", got.Service)
	}
	if got.Denied || !got.WouldDeny {
		t.Errorf("denied %t, would be denied %t; want what the shadow rules say", got.Denied, got.WouldDeny)
	}
}

func serveLog(t *testing.T, socket string, sink accesslog.Sink) {
	t.Helper()
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(accesslog.ServerOptions()...)
	accesslog.NewService(accesslog.Local{
		TrustDomain: trustDomain, Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, Account: ledger, Workload: "ledger",
	}, sink).Register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
}
