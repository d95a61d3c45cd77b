package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// each calls do for every entry of a tar.
func each(t *testing.T, r io.Reader, do func(*tar.Header, io.Reader)) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		do(h, tr)
	}
}

// onlyImage opens an archive, and returns the image for an architecture.
func onlyImage(t *testing.T, archive, arch string) v1.Image {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir := t.TempDir()
	each(t, file, func(h *tar.Header, content io.Reader) { extractFile(t, filepath.Join(dir, h.Name), h, content) })
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return imageFor(t, index, arch)
}

func imageFor(t *testing.T, index v1.ImageIndex, arch string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.MediaType.IsIndex() {
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return imageFor(t, inner, arch)
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture == arch {
			return image
		}
	}
	t.Fatalf("the archive has no image for %s", arch)
	return nil
}

// list returns a line per entry of an image: mode, owner and path.
func list(t *testing.T, image v1.Image) string {
	t.Helper()
	var lines strings.Builder
	content := mutate.Extract(image)
	defer content.Close()
	each(t, content, func(h *tar.Header, _ io.Reader) {
		if h.Linkname != "" {
			fmt.Fprintf(&lines, "%s -> %s\n", h.Name, h.Linkname)
			return
		}
		fmt.Fprintf(&lines, "%o %d %s\n", h.Mode, h.Uid, h.Name)
	})
	return lines.String()
}

func sameLines(a, b string) bool {
	return slices.Equal(slices.Sorted(strings.Lines(a)), slices.Sorted(strings.Lines(b)))
}

// extract writes the files of an image into a folder, as a runtime would.
func extract(t *testing.T, image v1.Image, dir string) {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	each(t, content, func(h *tar.Header, content io.Reader) {
		to := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			if err := os.MkdirAll(to, os.FileMode(h.Mode)); err != nil {
				t.Fatal(err)
			}
		case tar.TypeSymlink:
			if err := os.Symlink(h.Linkname, to); err != nil {
				t.Fatal(err)
			}
		default:
			extractFile(t, to, h, content)
		}
	})
}

func extractFile(t *testing.T, to string, h *tar.Header, content io.Reader) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(h.Mode))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(file, content); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
