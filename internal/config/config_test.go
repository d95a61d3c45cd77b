package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/mesh"
)

const head = "apiVersion: config.smi-spec.io/v1alpha1\nkind: ControllerConfig\n"

// documented is the example of docs/configuration.md.
func documented(t *testing.T) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("docs/configuration.md has no example")
	}
	return []byte(example)
}

func TestDocumentedExample(t *testing.T) {
	c, err := Parse(documented(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Sidecar.Resources.Requests.Cpu().String(), "50m"; got != want {
		t.Errorf("sidecar.resources: %s, want %s", got, want)
	}
	if c.Image.Registry != "registry.example.org/mesh" || c.Exclude.Namespaces[0] != "monitoring" || len(c.PodCIDRs) != 2 || len(c.Meaning(nil, nil).PodRanges) != 2 || len(c.Meaning(nil, nil).ServiceRanges) != 2 {
		t.Errorf("the example was not read: %+v", c)
	}
	// The page says that the rest of the example are the defaults.
	c.PodCIDRs, c.ServiceCIDRs, c.Exclude, c.Sidecar.Resources = nil, nil, Exclude{}, nil
	c.Image.Registry, c.Image.Tag, c.Image.PullSecrets = "", "", nil
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("the example is not what the defaults are (-default +example):\n%s", diff)
	}
}

func TestEmptyFileIsComplete(t *testing.T) {
	c, err := Parse([]byte(head))
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != mesh.Strict || c.CertificateTTL.Duration != 24*time.Hour || c.Image.PullPolicy != corev1.PullIfNotPresent || c.CA.Secret != ManagedSecret {
		t.Errorf("defaults: %+v", c)
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("an empty file is not the default (-default +file):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"another kind", "apiVersion: v1\nkind: ConfigMap\n", `it is "ConfigMap" of "v1"; this release reads kind "ControllerConfig"`},
		{"another version", "apiVersion: config.smi-spec.io/v2\nkind: ControllerConfig\n", `of "config.smi-spec.io/v2"`},
		{"no YAML", "{", "line 1"},
		{"unknown field", head + "\nmoed: audit\n", "line 4: there is no field moed, did you mean mode?"},
		{"unknown field inside", head + "sidecar:\n  logLevel: info\n  preStopSecond: 5\n", "line 5: there is no field sidecar.preStopSecond, did you mean preStopSeconds?"},
		{"case counts", head + "trustdomain: a\n", "line 3: there is no field trustdomain, did you mean trustDomain?"},
		{"twice", head + "mode: audit\nmode: strict\n", `"mode" already set`},
		{"wrong type", head + "mode: [strict]\n", "cannot unmarshal array"},
		{"mode", head + "mode: lax\n", `mode: Unsupported value: "lax": supported values: "strict", "permissive", "audit"`},
		{"trust domain", head + "trustDomain: spiffe://a\n", "trustDomain: Invalid value"},
		{"egress", head + "egress: no\n", "egress"},
		{"range", head + "podCIDRs: [10.0.0.0/8, 10.1.2.3]\n", `podCIDRs[1]: Invalid value: "10.1.2.3": it is no range of addresses`},
		{"range with host bits", head + "exclude: {cidrs: [10.1.2.3/8]}\n", `exclude.cidrs[0]: Invalid value: "10.1.2.3/8": the range that holds this address is 10.0.0.0/8`},
		{"port 0", head + "exclude: {inboundPorts: [80, 0]}\n", "exclude.inboundPorts[1]: Invalid value: 0"},
		{"port too large", head + "exclude: {outboundPorts: [70000]}\n", "cannot unmarshal number 70000"},
		{"namespace", head + "exclude: {namespaces: [A_b]}\n", "exclude.namespaces[0]"},
		{"tag in the name", head + "image: {name: 'smi-proxy:1'}\n", "image.name: Invalid value"},
		{"scheme in the registry", head + "image: {registry: 'https://r'}\n", "image.registry: Invalid value"},
		{"pull policy", head + "image: {pullPolicy: always}\n", "image.pullPolicy: Unsupported value"},
		{"log level", head + "sidecar: {logLevel: trace}\n", "sidecar.logLevel: Unsupported value"},
		{"request above limit", head + "sidecar: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}\n", "sidecar.resources.requests[cpu]: Invalid value"},
		{"lifetime", head + "certificateTTL: 1s\n", "certificateTTL: Invalid value"},
		{"lifetime without unit", head + "certificateTTL: 24\n", "cannot unmarshal number"},
		{"CA without a Secret", head + "ca: {source: secret}\n", "ca.secret: Required value"},
		{"managed CA elsewhere", head + "ca: {secret: mine}\n", "ca.secret: Forbidden"},
		{"CA source", head + "ca: {source: vault}\n", "ca.source: Unsupported value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something with %q", err, test.want)
			}
		})
	}
}

// Everything that is wrong is said at once.
func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Parse([]byte(head + "moed: audit\nmetrics: some\negress: some\n"))
	for _, want := range []string{"moed", "metrics", "egress"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := Load(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v", err)
	}
	long := filepath.Join(t.TempDir(), "long.yaml")
	if err := os.WriteFile(long, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(long); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head)
	f.Add(head + "sidecar: {resources: {requests: {cpu: 2}}}\n")
	f.Add(head + "image: {}\n&a : *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("a configuration %v and the error %v", c, err)
		}
	})
}
