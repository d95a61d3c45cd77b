package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

// The least that two Envoys need to speak mutual TLS with each other: no access
// rule, no access log, no discovery.
const (
	bareClient = `
static_resources:
  listeners:
  - address: {socket_address: {address: %[1]s, port_value: 15001}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: server}}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: server
    load_assignment:
      cluster_name: server
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %[2]s, port_value: 8080}}}}]}]
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          tls_certificates: [{certificate_chain: {filename: %[3]s/client.crt}, private_key: {filename: %[3]s/client.key}}]
          validation_context:
            trusted_ca: {filename: %[3]s/root.crt}
            match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "%[4]s"}}]
`
	bareServer = `
static_resources:
  listeners:
  - address: {socket_address: {address: %[1]s, port_value: 8080}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
            tls_certificates: [{certificate_chain: {filename: %[3]s/server.crt}, private_key: {filename: %[3]s/server.key}}]
            validation_context: {trusted_ca: {filename: %[3]s/root.crt}}
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: app}}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %[2]s, port_value: 8080}}}}]}]
`
)

// bareEnvoys are the two Envoys that ours are compared with.
type bareEnvoys struct {
	dir       string
	processes []*child
}

// startBare starts them: client and server are their addresses, app is what the
// server's speaks to.
func startBare(ctx context.Context, ca *identity.CA, client, server, app string) (*bareEnvoys, error) {
	binary, err := tool.Envoy("")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "smi-bench-bare-")
	if err != nil {
		return nil, err
	}
	b := &bareEnvoys{dir: dir}
	serverAccount := mesh.Account{Namespace: benchNamespace, Name: "server"}
	for name, account := range map[string]mesh.Account{"client": {Namespace: benchNamespace, Name: "client"}, "server": serverAccount} {
		if err := b.writeIdentity(ctx, ca, name, account); err != nil {
			b.stop()
			return nil, err
		}
	}
	for name, config := range map[string]string{
		"client": fmt.Sprintf(bareClient, client, server, dir, mesh.PrincipalOf(ca.TrustDomain(), serverAccount)),
		"server": fmt.Sprintf(bareServer, server, app, dir),
	} {
		path := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			b.stop()
			return nil, err
		}
		p, err := start(binary, "--config-path", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
		if err != nil {
			b.stop()
			return nil, err
		}
		b.processes = append(b.processes, p)
	}
	return b, nil
}

// writeIdentity writes the certificate, the key and the root of an account.
func (b *bareEnvoys) writeIdentity(ctx context.Context, ca *identity.CA, name string, account mesh.Account) error {
	svid, err := issue(ctx, ca, account)
	if err != nil {
		return err
	}
	key, err := svid.KeyPEM()
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{name + ".crt": svid.ChainPEM, name + ".key": key, "root.crt": svid.BundlePEM} {
		if err := os.WriteFile(filepath.Join(b.dir, file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (b *bareEnvoys) pids() []int {
	var pids []int
	for _, p := range b.processes {
		pids = append(pids, p.pid())
	}
	return pids
}

func (b *bareEnvoys) stop() {
	for _, p := range b.processes {
		p.stop()
	}
	_ = os.RemoveAll(b.dir)
}

// issue makes a certificate for an account.
func issue(ctx context.Context, ca *identity.CA, account mesh.Account) (*identity.SVID, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	keeper := identity.NewKeeper(ca.Source(account), nil)
	go func() { _ = keeper.Run(ctx) }()
	return keeper.Wait(ctx)
}
