package file_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/mesh"
)

func typeOf(o any) string { return fmt.Sprintf("%T", o) }

const everyKind = `# Everything that a mesh is made of.
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {smi-spec.io/access: audit}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: buyer, namespace: shop}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec:
  selector: {app: store}
  ports:
  - {name: http, port: 80}
  - {name: db, port: 5432, targetPort: sql, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: store-1, namespace: shop}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
---
apiVersion: v1
kind: Pod
metadata: {name: buyer, namespace: shop}
spec:
  containers: [{name: main}]
---
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: buy, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: store}
  sources: [{kind: IdentityBinding, name: buyers, group: access.smi-spec.io}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [buy]}]
---
apiVersion: access.smi-spec.io/v1alpha4
kind: IdentityBinding
metadata: {name: buyers, namespace: shop}
spec:
  schemes: {serviceAccount: buyer}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: shop}
spec:
  matches:
  - name: buy
    methods: [GET]
    pathRegex: /buy
    headers: [{user-agent: ".*<Android>.*"}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: tcp, namespace: shop}
spec: {matches: {name: sql, ports: [5432]}}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: UDPRoute
metadata: {name: udp, namespace: shop}
spec: {matches: {ports: [53]}}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: canary, namespace: shop}
spec:
  service: store
  backends: [{service: store-v1, weight: 90}, {service: store-v2, weight: 10}]
`

func TestEveryKindIsRead(t *testing.T) {
	r := loadClean(t, everyKind, file.Options{})
	expect(t, "objects", []string{
		"v1.Namespace /shop", "v1.ServiceAccount shop/buyer", "v1.Service shop/store", "v1.EndpointSlice shop/store-1",
		"v1.Pod shop/buyer", "v1alpha4.TrafficTarget shop/buy", "v1alpha4.IdentityBinding shop/buyers",
		"v1alpha4.HTTPRouteGroup shop/routes", "v1alpha4.TCPRoute shop/tcp", "v1alpha4.UDPRoute shop/udp", "v1alpha4.TrafficSplit shop/canary",
	}, names(r.Objects))

	expect(t, "the Namespace's label", "audit", only[*corev1.Namespace](t, r).Labels["smi-spec.io/access"])
	expect(t, "the slice's address", "10.0.0.1", only[*discoveryv1.EndpointSlice](t, r).Endpoints[0].Addresses[0])
	target := only[*access.TrafficTarget](t, r)
	expect(t, "sources", []access.IdentityBindingSubject{{Kind: "IdentityBinding", Name: "buyers", Group: access.GroupName}}, target.Spec.Sources)
	expect(t, "type", access.SchemeGroupVersion.WithKind("TrafficTarget"), target.GroupVersionKind())
	expect(t, "binding", "buyer", only[*access.IdentityBinding](t, r).Spec.Schemes.ServiceAccount)
	expect(t, "headers", []specs.HTTPHeader{{Name: "user-agent", Value: ".*<Android>.*"}}, only[*specs.HTTPRouteGroup](t, r).Spec.Matches[0].Headers.Entries())
	expect(t, "headers as JSON", `[{"user-agent":".*<Android>.*"}]`, string(only[*specs.HTTPRouteGroup](t, r).Spec.Matches[0].Headers.Raw))
	expect(t, "TCP ports", []int{5432}, only[*specs.TCPRoute](t, r).Spec.Matches.Ports)
	expect(t, "UDP ports", []int{53}, only[*specs.UDPRoute](t, r).Spec.Matches.Ports)
	expect(t, "backends", []split.TrafficSplitBackend{{Service: "store-v1", Weight: 90}, {Service: "store-v2", Weight: 10}}, only[*split.TrafficSplit](t, r).Spec.Backends)

	service := only[*corev1.Service](t, r)
	expect(t, "the default target port", intstr.FromInt32(80), service.Spec.Ports[0].TargetPort)
	expect(t, "the default protocol", corev1.ProtocolTCP, service.Spec.Ports[0].Protocol)
	expect(t, "a named target port", intstr.FromString("sql"), service.Spec.Ports[1].TargetPort)
}

func TestPositions(t *testing.T) {
	r := loadClean(t, everyKind, file.Options{})
	expect(t, "the Namespace's place", file.Position{File: "stdin", Line: 2}, r.Positions[only[*corev1.Namespace](t, r)])
	expect(t, "the ServiceAccount's place", "stdin:6", r.Positions[only[*corev1.ServiceAccount](t, r)].String())
	at, ok := r.Where(mesh.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "buy"})
	if !ok || at != r.Positions[only[*access.TrafficTarget](t, r)] {
		t.Errorf("Where says %v, %v", at, ok)
	}
}

func TestObjectsWithoutNamespaceAreInDefault(t *testing.T) {
	r := loadClean(t, `{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: b}}
`, file.Options{})
	expect(t, "objects", []string{"v1.ServiceAccount default/a", "v1.Namespace /b"}, names(r.Objects))
}

func TestAccessV1alpha3IsConverted(t *testing.T) {
	r := loadClean(t, `
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: buy, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: store, namespace: shop}
  sources: [{kind: ServiceAccount, name: buyer, namespace: shop}]
  rules: [{kind: TCPRoute, name: tcp}]
`, file.Options{})
	target := only[*access.TrafficTarget](t, r)
	expect(t, "type", access.SchemeGroupVersion.WithKind("TrafficTarget"), target.GroupVersionKind())
	expect(t, "destination", "store", target.Spec.Destination.Name)
}

// How documents may be laid out in a file.
func TestDocuments(t *testing.T) {
	account := func(name string) string {
		return "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + "}}"
	}
	jsonAccount := func(name string) string {
		return `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"` + name + `"}}`
	}
	cases := []struct{ name, yaml, want string }{
		{"one", account("a"), "a:1"},
		{"none", "", ""},
		{"comments only", "# nothing\n---\n# here\n", ""},
		{"several", account("a") + "\n---\n" + account("b") + "\n---\n" + account("c"), "a:1 b:3 c:5"},
		{"empty ones between", "---\n---\n\n# x\n---\n" + account("a") + "\n---\n---\n", "a:6"},
		{"marker with a comment", "--- # first\n" + account("a") + "\n---   \n" + account("b"), "a:2 b:4"},
		{"content behind the marker", "--- " + account("a") + "\n--- " + account("b"), "a:1 b:2"},
		{"ended by dots", account("a") + "\n...\n" + account("b"), "a:1 b:3"},
		{"directives", "%YAML 1.1\n---\n" + account("a") + "\n...\n%YAML 1.1\n---\n" + account("b"), "a:3 b:7"},
		{"windows line ends", account("a") + "\r\n---\r\n" + account("b") + "\r\n", "a:1 b:3"},
		{"byte order mark", "\ufeff" + account("a"), "a:1"},
		{"dashes in a text", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: a\n  annotations:\n    x: |\n      ---\n      ----\n", "a:1"},
		{"List", "apiVersion: v1\nkind: List\nitems:\n- " + account("a") + "\n- " + account("b"), "a:4 b:5"},
		{"list of a kind, items without type", "apiVersion: v1\nkind: ServiceAccountList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}", "a:4 b:5"},
		{"List in a List", "kind: List\napiVersion: v1\nitems:\n- kind: List\n  apiVersion: v1\n  items:\n  - " + account("a"), "a:7"},
		{"empty List", "kind: List\napiVersion: v1\nitems: []", ""},
		{"JSON", jsonAccount("a"), "a:1"},
		{"JSON with an emoji in two halves", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a","annotations":{"x":"\ud83d\ude00"}}}`, "a:1"},
		{"JSON indented by tabs", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ServiceAccount\",\n\t\"metadata\": {\"name\": \"a\"}\n}", "a:1"},
		{"JSON documents in a row", jsonAccount("a") + "\n\n" + jsonAccount("b") + jsonAccount("c"), "a:1 b:3 c:3"},
		{"JSON List", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n" + jsonAccount("a") + ",\n" + jsonAccount("b") + "]}", "a:2 b:3"},
		{"anchors and merges", "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  <<: &m {name: other, labels: &l {x: z}}\n  annotations: *l\n  name: a\n", "a:1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := loadClean(t, c.yaml, file.Options{})
			var got []string
			for _, o := range r.Objects {
				got = append(got, fmt.Sprintf("%s:%d", o.GetName(), r.Positions[o].Line))
			}
			expect(t, "objects and their lines", c.want, strings.Join(got, " "))
		})
	}
}

// What lies in a folder beside the objects is nobody's fault.
func TestOtherDocumentsAreSkippedSilently(t *testing.T) {
	for name, yaml := range map[string]string{
		"ConfigMap":           "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: 1}}",
		"Ingress":             "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}",
		"definition":          "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}}",
		"Gateway API":         "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TCPRoute, metadata: {name: a}}",
		"Knative":             "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}}",
		"our configuration":   "{apiVersion: config.smi-spec.io/v1alpha1, kind: ControllerConfig}",
		"our performance API": "{apiVersion: performance.smi-spec.io/v1alpha1, kind: PerformanceTest, metadata: {name: a}}",
		"Helm values":         "image: {tag: v1}\nreplicas: 2",
		"Helm chart":          "apiVersion: v2\nname: shop\nversion: 1.0.0",
		"tags and odd keys":   "{apiVersion: v1, kind: ConfigMap, a: !Ref b, [1]: 2, c: 1, c: 2}",
	} {
		t.Run(name, func(t *testing.T) {
			if r := loadClean(t, yaml, file.Options{}); len(r.Objects) > 0 {
				t.Errorf("objects: %v", names(r.Objects))
			}
		})
	}
}

func TestFolders(t *testing.T) {
	account := func(name string) string {
		return "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + "}}"
	}
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"b.yaml": account("b"), "a.yml": account("a"), "c.JSON": `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"c"}}`,
		"sub/deeper/d.yaml": account("d"), "z.yaml": account("z"),
		// All of this is passed over.
		"README.md": "# no: [yaml", ".hidden.yaml": "[", ".git/x.yaml": "[", "..data/x.yaml": "[", "a.yaml~": "[", "#a.yaml#": "[",
		".#a.yaml": "[", "a.yaml.swp": "[", "4913": "[", "a.tmp": "[", "x.tmp/x.yaml": "[",
	})
	t.Run("are read in order, with everything below", func(t *testing.T) {
		r, err := file.Load([]string{folder}, file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "objects", []string{
			"v1.ServiceAccount default/a", "v1.ServiceAccount default/b", "v1.ServiceAccount default/c",
			"v1.ServiceAccount default/d", "v1.ServiceAccount default/z",
		}, names(r.Objects))
		expect(t, "findings", 0, len(r.Findings))
		expect(t, "place", filepath.Join(folder, "sub", "deeper", "d.yaml")+":1", r.Positions[r.Objects[3]].String())
	})
	t.Run("a file within is read once", func(t *testing.T) {
		r, err := file.Load([]string{filepath.Join(folder, "z.yaml"), folder, filepath.Join(folder, "sub", "..", "z.yaml")}, file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "objects", 5, len(r.Objects))
		expect(t, "findings", 0, len(r.Findings))
		expect(t, "the first", "z", r.Objects[0].GetName())
	})
	t.Run("a file that is named is read whatever its name", func(t *testing.T) {
		write(t, folder, map[string]string{"objects.txt": account("t")})
		r, err := file.Load([]string{filepath.Join(folder, "objects.txt")}, file.Options{})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "objects", []string{"v1.ServiceAccount default/t"}, names(r.Objects))
	})
	t.Run("a path where nothing is, is an error", func(t *testing.T) {
		_, err := file.Load([]string{folder, filepath.Join(folder, "nowhere")}, file.Options{})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestDuplicatesNameBothPlaces(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"a.yaml": "{apiVersion: v1, kind: ServiceAccount, metadata: {name: x, labels: {from: a}}}",
		"b.yaml": "# x\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: x, namespace: default, labels: {from: b}}}",
	})
	r, err := file.Load([]string{folder}, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "the one that counts", "a", only[*corev1.ServiceAccount](t, r).Labels["from"])
	a, b := filepath.Join(folder, "a.yaml"), filepath.Join(folder, "b.yaml")
	expect(t, "findings", []mesh.Finding{{
		Severity: mesh.Error, Reason: "Duplicate", Object: mesh.ObjectRef{Kind: "ServiceAccount", Namespace: "default", Name: "x"},
		Message: b + ":2: ServiceAccount default/x is given twice, first at " + a + ":1, which counts; this one is left out",
	}}, r.Findings)
}
