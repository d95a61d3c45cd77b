package bookstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// read decodes a manifest strictly: a field that is misspelt is an error.
func read(t *testing.T, name string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, access.AddToScheme, specs.AddToScheme, split.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	text, err := Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	var objects []runtime.Object
	for {
		document := make([]byte, len(text))
		n, err := documents.Read(document)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(document[:n], nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document[:n])
		}
		objects = append(objects, object)
	}
}

// compiled is the mesh that some of the files make, with every pod ready.
func compiled(t *testing.T, names ...string) *mesh.Mesh {
	t.Helper()
	all := store.New()
	for _, name := range names {
		for _, object := range read(t, name) {
			deployment, ok := object.(*appsv1.Deployment)
			if !ok {
				all.Put(object.(store.Object))
				continue
			}
			for i := range *deployment.Spec.Replicas {
				all.Put(pod(deployment, i))
			}
		}
	}
	return compile.New(compile.Config{}).Compile(all.Snapshot())
}

func pod(d *appsv1.Deployment, ordinal int32) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: d.Spec.Template.Spec}
	p.Namespace, p.Name = d.Namespace, fmt.Sprintf("%s-%d", d.Name, ordinal)
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: d.Name}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

var (
	buyer     = mesh.Account{Namespace: "bookbuyer", Name: "bookbuyer"}
	thief     = mesh.Account{Namespace: "bookthief", Name: "bookthief"}
	seller    = mesh.Account{Namespace: "bookstore", Name: "bookstore"}
	shop      = mesh.Name{Namespace: "bookstore", Name: "bookstore"}
	v2        = mesh.Name{Namespace: "bookstore", Name: "bookstore-v2"}
	warehouse = mesh.Name{Namespace: "bookstore", Name: "bookwarehouse"}
)

func TestManifestsAreWithoutFindings(t *testing.T) {
	for _, names := range [][]string{
		{"app.yaml"},
		{"app.yaml", "access.yaml"},
		{"app.yaml", "access.yaml", "split.yaml"},
		{"app.yaml", "access.yaml", "split.yaml", "ab-test.yaml"},
		{"app.yaml", "access.yaml", "ab-test.yaml"},
	} {
		for _, f := range compiled(t, names...).Findings {
			if f.Severity != mesh.Info {
				t.Errorf("%v: %s %s: %s", names, f.Object, f.Field, f.Message)
			}
		}
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		name    string
		q       explain.Question
		allowed bool
	}{
		{"the buyer reads the catalogue", explain.Question{From: buyer, To: shop, Port: 9080, Path: "/books"}, true},
		{"the buyer reads one book", explain.Question{From: buyer, To: shop, Port: 9080, Path: "/books/7?lang=en"}, true},
		{"the buyer buys", explain.Question{From: buyer, To: shop, Port: 9080, Method: "POST", Path: "/buy"}, true},
		{"the buyer buys by GET", explain.Question{From: buyer, To: shop, Port: 9080, Path: "/buy"}, false},
		{"the buyer looks elsewhere", explain.Question{From: buyer, To: shop, Port: 9080, Path: "/books-in-the-safe"}, false},
		{"the buyer names a version", explain.Question{From: buyer, To: v2, Port: 9080, Path: "/books"}, true},
		{"the buyer goes to the warehouse", explain.Question{From: buyer, To: warehouse, Port: 9080, Method: "POST", Path: "/restock"}, false},
		{"the thief reads the catalogue", explain.Question{From: thief, To: shop, Port: 9080, Path: "/books"}, false},
		{"the thief buys", explain.Question{From: thief, To: shop, Port: 9080, Method: "POST", Path: "/buy"}, false},
		{"the store restocks", explain.Question{From: seller, To: warehouse, Port: 9080, Method: "POST", Path: "/restock"}, true},
		{"the store reads the warehouse", explain.Question{From: seller, To: warehouse, Port: 9080, Path: "/restock"}, false},
		{"the store writes the ledger", explain.Question{From: seller, To: warehouse, Port: 9090, Connection: true}, true},
		{"the thief writes the ledger", explain.Question{From: thief, To: warehouse, Port: 9090, Connection: true}, false},
	} {
		for files, allowed := range map[string]bool{"app.yaml": false, "access.yaml": c.allowed} {
			answer, err := explain.New(compiled(t, slices.Compact([]string{"app.yaml", files})...)).Ask(c.q)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Allowed != allowed {
				t.Errorf("%s, with %s: allowed is %v: %s", c.name, files, answer.Allowed, answer.Reason)
			}
		}
	}
}

func TestSplits(t *testing.T) {
	beta := []explain.Header{{Name: "X-Beta", Value: "true"}}
	firefox := []explain.Header{{Name: "User-Agent", Value: "Mozilla/5.0 Gecko/20100101 Firefox/144.0"}}
	both := []string{"split.yaml", "ab-test.yaml"}
	for _, c := range []struct {
		name    string
		files   []string
		headers []explain.Header
		share   float64
	}{
		{"a tenth to the canary", []string{"split.yaml"}, nil, 0.1},
		{"volunteers", both, beta, 1},
		{"Firefox", both, firefox, 1},
		{"everybody else", both, nil, 0.1},
		{"one who declines", both, []explain.Header{{Name: "X-Beta", Value: "true, but no"}}, 0.1},
	} {
		m := compiled(t, append([]string{"app.yaml", "access.yaml"}, c.files...)...)
		answer, err := explain.New(m).Ask(explain.Question{From: buyer, To: shop, Port: 9080, Path: "/books", Headers: c.headers})
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		for _, s := range answer.Split {
			if s.Service == "bookstore-v2" {
				got += s.Share
			}
		}
		if !answer.Allowed || math.Abs(got-c.share) > 1e-9 {
			t.Errorf("%s: %v of the requests go to version 2, want %v; allowed %v", c.name, got, c.share, answer.Allowed)
		}
	}
}
