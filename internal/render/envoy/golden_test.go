package envoy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/mesh"
)

var update = flag.Bool("update", false, "write what the golden files should be")

// The golden files show what one resource of each kind looks like.
func TestGolden(t *testing.T) {
	w := &town{mode: mesh.Strict, grants: webGrants(), address: fixedAddress(10), weight: 10, tcpSplit: true}
	m := w.mesh()
	rendered := New(Options{AccessLogPath: "/dev/stdout"}).Render(m, w.proxies(m), Epochs{}.Bump(ledger, portHTTP, principal(web)))
	for _, tt := range []struct{ node, kind, name string }{
		{"bank/ledger", "Listener", "inbound|8080"},
		{"bank/ledger", "TypedExtensionConfig", "access|8080"},
		{"bank/ledger", "Listener", "inbound|5432"},
		{"bank/ledger", "Listener", "inner|5432"},
		{"bank/ledger", "Listener", "inner|7000"},
		{"bank/ledger", "Cluster", "inner|7000"},
		{"bank/ledger", "Cluster", "inbound|9090"},
		{"shop/web", "Listener", "outbound"},
		{"shop/web", "Listener", "outbound|7000|misc.bank"},
		{"shop/web", "RouteConfiguration", "outbound|80|ledger.bank"},
		{"shop/web", "Cluster", "outbound|80|ledger.bank"},
		{"shop/web", "Cluster", "outbound|80|old.bank"},
		{"shop/web", "ClusterLoadAssignment", "outbound|80|ledger.bank"},
		{"shop/web", "TypedExtensionConfig", "tcp|5432|db.bank"},
		{"shop/cart", "Listener", "outbound|80|ledger.bank"},
		{"shop/cart", "RouteConfiguration", "outbound|80|ledger.bank"},
		{"shop/cart", "TypedExtensionConfig", "tcp|5432|db.bank"},
		{"shop/cart", "RouteConfiguration", "proxy"},
		{"shop/cart", "RouteConfiguration", "outside"},
		{"shop/cart", "Listener", "outside"},
	} {
		golden(t, tt.node, find(t, rendered[tt.node], tt.kind, tt.name))
	}
}

// golden compares a resource with its file.
func golden(t *testing.T, node string, r *Resource) {
	t.Helper()
	kind := r.Type[strings.LastIndex(r.Type, ".")+1:]
	file := filepath.Join("testdata", strings.ReplaceAll(node, "/", "-"), kind+"-"+strings.NewReplacer("|", "-", "/", "-", ":", "-").Replace(r.Name)+".yaml")
	t.Run(file, func(t *testing.T) {
		got := asYAML(t, r)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("not as in %s (-want +got; refresh with -update):\n%s", file, diff)
		}
	})
}

func find(t *testing.T, resources []*Resource, kind, name string) *Resource {
	t.Helper()
	for _, r := range resources {
		if strings.HasSuffix(r.Type, "."+kind) && r.Name == name {
			return r
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func asYAML(t *testing.T, r *Resource) []byte {
	t.Helper()
	message, err := anypb.UnmarshalNew(r.Any(), protoUnmarshal)
	if err != nil {
		t.Fatal(err)
	}
	json, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.JSONToYAML(json)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
