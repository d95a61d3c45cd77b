package conformance

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// fixture are the workloads and Services that every case finds.
//
//go:embed fixture.yaml
var fixture []byte

// key identifies an object.
type key struct{ kind, namespace, name string }

func keyOf(o *unstructured.Unstructured) key {
	return key{o.GetKind(), o.GetNamespace(), o.GetName()}
}

func (k key) String() string {
	if k.namespace == "" {
		return k.kind + " " + k.name
	}
	return k.kind + " " + k.namespace + "/" + k.name
}

// decode reads the documents of a manifest. An object without namespace gets the
// first of the fixture's, so that cases need not say it.
func decode(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		o := new(unstructured.Unstructured)
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) == 0 {
			continue
		}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, errors.New("an object has no kind or no name")
		}
		if o.GetNamespace() == "" && o.GetKind() != "Namespace" {
			o.SetNamespace(Apps)
		}
		objects = append(objects, o)
	}
}

func load(manifests fs.FS, name string) ([]*unstructured.Unstructured, error) {
	text, err := fs.ReadFile(manifests, name)
	if err != nil {
		return nil, err
	}
	objects, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return objects, nil
}

// digest is the SHA-256 of what the suite applies and of what its cases are.
func (s *Suite) digest() (string, error) {
	sum := sha256.New()
	sum.Write(fixture)
	for _, c := range s.Cases {
		fmt.Fprintf(sum, "%s\n%s\n%s\n", c.ID, c.Title, strings.Join(c.Rules, " "))
	}
	names, err := fs.Glob(s.Manifests, "*.yaml")
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := fs.ReadFile(s.Manifests, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s\n%s\n", name, text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
