//go:build linux

package local

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestBadInput gives one mesh one bad thing after another. Each gets a message
// that names the object and the way out, and nothing else is disturbed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	r := start(t, f)
	r.settle()
	application, sidecar := r.application("web"), r.envoy("web")
	for _, tc := range []struct {
		name, text string
		says       []string
	}{
		{"an image without command", podYAML("bare", "image: registry.example.org:5000/bare:1.0"),
			[]string{"shop/bare: ", "container app has no command", "--exec registry.example.org:5000/bare:1.0=COMMAND"}},
		{"a command that is not here", podYAML("gone", "image: x\ncommand: [/no/such/program]"),
			[]string{"shop/gone: ", "container app", "/no/such/program", "--exec x=COMMAND"}},
		{"a value from a Secret", podYAML("secret", "image: smi-sample\nenv: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
			[]string{"shop/secret: ", "env TOKEN", "give it a value"}},
		{"variables from a ConfigMap", podYAML("config", "image: smi-sample\nenvFrom: [{configMapRef: {name: c}}]"),
			[]string{"shop/config: ", "envFrom", "write them under env"}},
		{"a field that is not known", podYAML("field", "image: smi-sample\nenv: [{name: X, valueFrom: {fieldRef: {fieldPath: spec.nothing}}}]"),
			[]string{"shop/field: ", "spec.nothing", "use metadata.name"}},
		{"a probe that needs an image", podYAML("probe", "image: smi-sample\nreadinessProbe: {exec: {command: [x]}}"),
			[]string{"shop/probe: ", "readiness probe", "httpGet"}},
		{"a probe of a port that is not there", podYAML("named", "image: smi-sample\nreadinessProbe: {tcpSocket: {port: web}}"),
			[]string{"shop/named: ", `names port "web"`}},
		{"an object of 5 MB", object("HTTPRouteGroup", "large", "matches: [{name: "+strings.Repeat("x", 5<<20)+"}]"),
			[]string{"bad.yaml:1", "has 5243011 bytes", "an object may have"}},
		{"ten thousand matches, granted", object("HTTPRouteGroup", "many", "matches:\n"+many(10_000)) + "---\n" + grant("many"),
			[]string{"HTTPRouteGroup shop/many", "1000"}},
		{"an expression of 10,000 characters", object("HTTPRouteGroup", "long", "matches: [{name: long, pathRegex: '/"+strings.Repeat("x", 10_000)+"'}]"),
			[]string{"HTTPRouteGroup shop/long", "pathRegex"}},
		{"an expression that is none", object("HTTPRouteGroup", "wrong", "matches: [{name: wrong, pathRegex: '/(' }]"),
			[]string{"HTTPRouteGroup shop/wrong", "pathRegex"}},
		{"a Service without pods", strings.Replace(object("Service", "lonely", "selector: {app: nobody}\nports: [{port: 80}]"), "specs.smi-spec.io/v1alpha4", "v1", 1),
			[]string{"Service shop/lonely"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inner := *r
			inner.t = t
			f.write("bad.yaml", tc.text)
			inner.says(tc.says...)
			if !strings.HasPrefix(tc.says[0], "shop/") {
				inner.settledWith(2)
			}
			if report := inner.ask(client, web, 3); report.Statuses["200"] != 3 {
				t.Errorf("others are disturbed: %+v", report)
			}
			f.remove("bad.yaml")
			inner.settledWith(2)
		})
	}
	if n := r.out.count("HTTPRouteGroup shop/many"); n > 10 {
		t.Errorf("ten thousand matches are worth %d lines", n)
	}
	if r.application("web") != application || r.envoy("web") != sidecar {
		t.Error("a process of another pod is not the same any more")
	}
}

// object is one of the shop.
func object(kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: specs.smi-spec.io/v1alpha4\nkind: %s\nmetadata: {name: %s, namespace: shop}\nspec:\n%s", kind, name, indent(spec))
}

// grant is a TrafficTarget that lets the client do what a group says.
func grant(group string) string {
	return fmt.Sprintf(`apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: %s, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: client, namespace: shop}]
  rules: [{kind: HTTPRouteGroup, name: %s}]
`, group, group)
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {name: m%d, pathRegex: /p%d}\n", i, i)
	}
	return b.String()
}

// TestTakenPort is about ports that another process listens on.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	r := start(t, f)
	r.settle()
	for _, tc := range []struct {
		name string
		// text is a pod, and what else it takes, that needs the port.
		text func(port int) string
		says []string
	}{
		{"which the application declares", func(port int) string {
			return podYAML("late", fmt.Sprintf("image: smi-sample\nargs: [-http=%d]\nports: [{containerPort: %d}]\nreadinessProbe: {httpGet: {path: /healthz, port: %d}}", port, port, port))
		}, []string{"shop/late: ", "the application cannot listen on", "another process"}},
		{"which only a Service names", func(port int) string {
			return podYAML("late", "image: smi-sample") + "---\n" +
				strings.Replace(object("Service", "late", fmt.Sprintf("selector: {app: late}\nports: [{port: %d}]", port)), "specs.smi-spec.io/v1alpha4", "v1", 1)
		}, []string{"shop/late: ", "the sidecar cannot listen on", "another process"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inner := *r
			inner.t = t
			l, err := net.Listen("tcp4", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			f.write("late.yaml", tc.text(port))
			inner.says(append(tc.says, fmt.Sprint(port))...)
			if report := inner.ask(client, web, 3); report.Statuses["200"] != 3 {
				t.Errorf("others are disturbed: %+v", report)
			}
			if inner.rt.Status().Settled {
				t.Error("the mesh says that it is settled")
			}
			_ = l.Close()
			inner.settledWith(3)
			f.remove("late.yaml")
			inner.settledWith(2)
		})
	}
}

// TestPortTakenLater is about a port that a pod which runs already comes to need.
func TestPortTakenLater(t *testing.T) {
	t.Parallel()
	f := shopFolder(t)
	r := start(t, f)
	r.settle()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	service := object("Service", "also-web", fmt.Sprintf("selector: {app: web}\nports: [{port: %d}]", l.Addr().(*net.TCPAddr).Port))
	f.write("late.yaml", strings.Replace(service, "specs.smi-spec.io/v1alpha4", "v1", 1))
	r.says("shop/web: ", "keeps its last good configuration", "Address already in use", "another port")
	if p := r.pod("shop/web"); p.Proxy == InSync || r.rt.Status().Settled {
		t.Errorf("the mesh says that it is settled, and the proxy is %s", p.Proxy)
	}
	r.answers(client, web, 200)
	f.remove("late.yaml")
	r.settledWith(2)
}
