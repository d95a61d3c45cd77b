package conformance

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/smi-project/smi/conformance/report"
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

// core are the sources of what observes and judges for the cases, and the fixture.
//
//go:embed *.go driver/*.go forge/*.go share/*.go fixture.yaml
var core embed.FS

// About tells the suite from all others, as reports name it.
func (s *Suite) About() (report.Suite, error) {
	digest, err := s.digest()
	return report.Suite{Version: s.Version, Digest: digest, Cases: len(s.Cases)}, err
}

// digest is the SHA-256, in hexadecimal, of all that decides what a case shows: the
// sources of the packages conformance, driver, forge and share, which observe and judge;
// the fixture; everything that the cases tell of themselves; and all that Manifests
// holds, which are the manifests and, for the cases of this project, their sources.
// Tests do not count. It does not cover the target, the workloads' program and the
// libraries: they belong to what is tested, or to the build.
func (s *Suite) digest() (string, error) {
	sum := sha256.New()
	if err := hashTree(sum, core); err != nil {
		return "", err
	}
	for _, c := range s.Cases {
		text, err := json.Marshal(struct {
			ID, Title, Original string
			Rules               []string
			Features            []Feature
			APIs                []string
			Needs               []Ability
			Slow                bool
		}{c.ID, c.Title, c.Original, c.Rules, c.Features, c.APIs, c.Needs, c.Slow})
		if err != nil {
			return "", err
		}
		frame(sum, text)
	}
	if err := hashTree(sum, s.Manifests); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hashTree hashes the names and contents of all files but tests, in the order of
// their names.
func hashTree(sum io.Writer, tree fs.FS) error {
	return fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		frame(sum, []byte(path))
		frame(sum, text)
		return err
	})
}

// frame hashes a part with its length, so that nothing can move from one part to
// the next and leave the digest as it was.
func frame(sum io.Writer, part []byte) {
	fmt.Fprintf(sum, "%d:", len(part))
	_, _ = sum.Write(part) // a digest takes everything
}
