package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/smi-project/smi/tools/image/internal/archive"
	"github.com/smi-project/smi/tools/image/internal/layer"
)

func image(t *testing.T, arch string, contents ...string) v1.Image {
	t.Helper()
	cache, err := layer.OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var layers []v1.Layer
	for _, content := range contents {
		l, err := cache.Gzip([]layer.Entry{{Path: "/" + content, Mode: 0o644, Content: []byte(content)}})
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	built, err := archive.Image(arch, v1.Config{Entrypoint: []string{"/run"}, User: "65532"}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// unpack extracts an archive as a registry tool would, and opens its layout.
func unpack(t *testing.T, path string) v1.ImageIndex {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir := t.TempDir()
	for tr := tar.NewReader(file); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("the archive holds %s twice", h.Name)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestAnIndexCanBeReadBack(t *testing.T) {
	// Both have the lowest layer in common.
	index, err := archive.Index(image(t, "amd64", "common", "a"), image(t, "arm64", "common", "b"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "new", "folder", "x.tar")
	if err := archive.WriteFile(path, "localhost/x:v1", index); err != nil {
		t.Fatal(err)
	}
	got := unpack(t, path)
	if err := validate.Index(got); err != nil {
		t.Error(err)
	}
	top, err := got.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Digest != want {
		t.Fatalf("the archive holds %+v, want the index %s alone", top.Manifests, want)
	}
	for _, name := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if ref := top.Manifests[0].Annotations[name]; ref != "localhost/x:v1" {
			t.Errorf("the annotation %s is %q", name, ref)
		}
	}
	inner, err := got.ImageIndex(want)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if got := strings.Join(platforms, " "); got != "linux/amd64 linux/arm64" {
		t.Errorf("the index is for %s, want linux/amd64 linux/arm64", got)
	}
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	var archives [][]byte
	for _, name := range []string{"one", "other"} {
		path := filepath.Join(dir, name)
		if err := archive.WriteFile(path, "localhost/x:v1", image(t, "amd64", "a", "b")); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same image differ")
	}
}

func TestAFileThatChangesMeanwhileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	source, path := filepath.Join(dir, "source"), filepath.Join(dir, "x.tar")
	if err := os.WriteFile(source, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := layer.Plain([]layer.Entry{{Path: "/a", Source: source}})
	if err != nil {
		t.Fatal(err)
	}
	built, err := archive.Image("amd64", v1.Config{}, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, []byte("behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = archive.WriteFile(path, "localhost/x:v1", built)
	if err == nil || !strings.Contains(err.Error(), "a file changed while the image was built") {
		t.Errorf("got %v, want an error that says that a file changed", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tar*")); len(left) != 0 {
		t.Errorf("%v was left behind", left)
	}
}

func TestCheckRef(t *testing.T) {
	for ref, good := range map[string]bool{
		"localhost/smi:dev":         true,
		"localhost:5000/a/b:v1":     true,
		"mirror.example/smi:v1.2.3": true,
		"smi:dev":                   false,
		"team/smi:dev":              false,
		"localhost/smi":             false,
		"localhost/SMI:dev":         false,
		"localhost/smi:a b":         false,
		"":                          false,
	} {
		if err := archive.CheckRef(ref); (err == nil) != good {
			t.Errorf("CheckRef(%q) = %v", ref, err)
		}
	}
}
