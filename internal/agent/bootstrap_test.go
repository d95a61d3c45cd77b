package agent

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/internal/tool"
	"github.com/smi-project/smi/mesh"
)

func bootstrapConfig(dir string) BootstrapConfig {
	return BootstrapConfig{
		Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, Workload: "ledger", ServiceAccount: "ledger",
		XDSAddress: "127.0.0.1:15012", XDSServer: "spiffe://cluster.local/ns/smi-system/sa/smi",
		AgentSocket: filepath.Join(dir, "agent.sock"), AdminSocket: filepath.Join(dir, "admin.sock"),
	}
}

// Every supported Envoy takes the bootstrap, and with it an expression that
// compiles to far more than Envoy's default limit.
func TestEverySupportedEnvoyTakesTheBootstrap(t *testing.T) {
	for _, version := range tool.EnvoyReleases() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			binary, err := tool.EnvoyVersion(version)
			if err != nil {
				t.Fatal(err)
			}
			for name, change := range map[string]func(*BootstrapConfig){
				"address": func(*BootstrapConfig) {},
				"name":    func(c *BootstrapConfig) { c.XDSAddress = "smi.smi-system.svc:15012" },
			} {
				cfg := bootstrapConfig(t.TempDir())
				change(&cfg)
				content, err := Bootstrap(cfg)
				if err != nil {
					t.Fatal(err)
				}
				validate(t, binary, name, withExpression(t, content, strings.Repeat("(a|b[c-x]+)", 400)))
			}
		})
	}
}

func validate(t *testing.T, binary, name string, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	args := (&Envoy{BootstrapPath: path}).args()
	out, err := exec.CommandContext(ctx, binary, append(args, "--mode", "validate")...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.HasPrefix(line, "warning ") {
			t.Errorf("%s: Envoy warns: %s", name, line)
		}
	}
}

// withExpression adds a listener whose route has the path expression.
func withExpression(t *testing.T, content []byte, expression string) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	b["static_resources"].(map[string]any)["listeners"] = []any{map[string]any{
		"name": "expression", "address": map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": 10000}},
		"filter_chains": []any{map[string]any{"filters": []any{map[string]any{
			"name": "hcm", "typed_config": map[string]any{
				"@type":        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix":  "x",
				"http_filters": []any{map[string]any{"name": "router", "typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}},
				"route_config": map[string]any{"virtual_hosts": []any{map[string]any{
					"name": "v", "domains": []any{"*"},
					"routes": []any{map[string]any{
						"match":           map[string]any{"safe_regex": map[string]any{"regex": expression}},
						"direct_response": map[string]any{"status": 200},
					}},
				}}},
			},
		}}}},
	}}
	out, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBootstrapSaysWhoTheNodeIs(t *testing.T) {
	cfg := bootstrapConfig("/run/smi")
	content, err := Bootstrap(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var b struct{ Node map[string]any }
	if err := json.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"id": "bank/ledger-0", "cluster": "bank/ledger",
		"metadata": map[string]any{"smi": map[string]any{"namespace": "bank", "pod": "ledger-0", "workload": "ledger", "serviceAccount": "ledger"}},
	}
	if diff := cmp.Diff(want, b.Node); diff != "" {
		t.Error(diff)
	}
	again, err := Bootstrap(cfg)
	if err != nil || string(again) != string(content) {
		t.Error("the same configuration gives another text")
	}
}

func TestBootstrapRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*BootstrapConfig)
		want   string
	}{
		"no pod":            {func(c *BootstrapConfig) { c.Pod.Name = "" }, "namespace and name"},
		"no port":           {func(c *BootstrapConfig) { c.XDSAddress = "127.0.0.1" }, "missing port"},
		"port 0":            {func(c *BootstrapConfig) { c.XDSAddress = "127.0.0.1:0" }, "port number"},
		"port by name":      {func(c *BootstrapConfig) { c.XDSAddress = "127.0.0.1:xds" }, "port number"},
		"no host":           {func(c *BootstrapConfig) { c.XDSAddress = ":15012" }, "a host"},
		"no server":         {func(c *BootstrapConfig) { c.XDSServer = "" }, "identity of the xDS server"},
		"relative socket":   {func(c *BootstrapConfig) { c.AgentSocket = "agent.sock" }, "absolute path"},
		"long socket":       {func(c *BootstrapConfig) { c.AdminSocket = "/" + strings.Repeat("x", 107) }, "shorter directory"},
		"connections below": {func(c *BootstrapConfig) { c.MaxConnections = -1 }, "positive"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := bootstrapConfig("/run/smi")
			c.change(&cfg)
			if _, err := Bootstrap(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want an error that says %q", err, c.want)
			}
		})
	}
}
