package layer_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/smi-project/smi/tools/image/internal/layer"
)

// describe lists a layer's tar as a person would want to read it.
func describe(t *testing.T, l v1.Layer) string {
	t.Helper()
	content, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var text strings.Builder
	for tr := tar.NewReader(content); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%c %04o %d:%d %q%q %s %s %q\n",
			h.Typeflag, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.UTC().Format(time.DateTime), h.Name+h.Linkname, body)
	}
}

// source writes a file of a time and a mode of its own.
func source(t *testing.T, content string, mode os.FileMode, modified time.Time) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlainFixesAllThatDiffersBetweenMachines(t *testing.T) {
	build := func(path string, reversed bool) v1.Layer {
		entries := []layer.Entry{
			{Path: "/usr/bin/smi", Mode: 0o755, Source: path},
			{Path: "/data", Mode: 0o1700, UID: 65532, Dir: true},
			{Path: "/lib64/ld.so", Link: "/lib/ld.so"},
			{Path: "/empty", Mode: 0o644, Content: []byte{}},
		}
		if reversed {
			entries[0], entries[3] = entries[3], entries[0]
		}
		l, err := layer.Plain(entries)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one := build(source(t, "program", 0o700, time.Unix(1, 0)), false)
	other := build(source(t, "program", 0o666, time.Unix(2e9, 0)), true)

	const want = `5 1700 65532:65532 """" 1970-01-01 00:00:00 data/ ""
0 0644 0:0 """" 1970-01-01 00:00:00 empty ""
5 0755 0:0 """" 1970-01-01 00:00:00 lib64/ ""
2 0777 0:0 """" 1970-01-01 00:00:00 lib64/ld.so/lib/ld.so ""
5 0755 0:0 """" 1970-01-01 00:00:00 usr/ ""
5 0755 0:0 """" 1970-01-01 00:00:00 usr/bin/ ""
0 0755 0:0 """" 1970-01-01 00:00:00 usr/bin/smi "program"
`
	if got := describe(t, one); got != want {
		t.Errorf("the layer holds\n%s, want\n%s", got, want)
	}
	if a, b := digest(t, one), digest(t, other); a != b {
		t.Errorf("the same content in files of other times, modes and order has the digests %s and %s", a, b)
	}
	if a, b := digest(t, one), digest(t, build(source(t, "another", 0o700, time.Unix(1, 0)), false)); a == b {
		t.Errorf("another content has the same digest %s", a)
	}
}

func digest(t *testing.T, l v1.Layer) v1.Hash {
	t.Helper()
	d, err := l.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPlainRefuses(t *testing.T) {
	file := layer.Entry{Path: "/a", Mode: 0o644, Content: []byte("x")}
	tests := []struct {
		name    string
		entries []layer.Entry
		want    string
	}{
		{"a relative path", []layer.Entry{{Path: "a", Content: []byte{}}}, `path "a" in the image: write an absolute path`},
		{"a path that climbs", []layer.Entry{{Path: "/a/../b", Content: []byte{}}}, "without . or .."},
		{"the root", []layer.Entry{{Path: "/", Dir: true}}, `path "/"`},
		{"nothing", []layer.Entry{{Path: "/a"}}, "this one is 0 of them"},
		{"two at once", []layer.Entry{{Path: "/a", Dir: true, Link: "/b"}}, "this one is 2 of them"},
		{"set-user-ID", []layer.Entry{{Path: "/a", Mode: 0o4755, Content: []byte{}}}, "only permission bits"},
		{"a negative owner", []layer.Entry{{Path: "/a", UID: -1, Dir: true}}, "user id -1"},
		{"one path twice", []layer.Entry{file, file}, "/a: is given twice"},
		{"a file below a file", []layer.Entry{file, {Path: "/a/b", Dir: true}}, "lies under /a, which is no folder"},
		{"no source", []layer.Entry{{Path: "/a", Source: "/does/not/exist"}}, "no such file"},
		{"a folder as a source", []layer.Entry{{Path: "/a", Source: t.TempDir()}}, "is no regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layer.Plain(tt.entries)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestGzipIsTheSameFromTheCacheAndAnew(t *testing.T) {
	entries := []layer.Entry{{Path: "/a", Mode: 0o644, Content: []byte(strings.Repeat("text ", 1000))}}
	dir := t.TempDir()
	build := func(dir string) v1.Layer {
		cache, err := layer.OpenCache(dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := cache.Gzip(entries)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Layer(l); err != nil {
			t.Error(err)
		}
		return l
	}
	first := digest(t, build(dir))
	if again := digest(t, build(dir)); again != first {
		t.Errorf("from the cache the digest is %s, and was %s", again, first)
	}
	if anew := digest(t, build(t.TempDir())); anew != first {
		t.Errorf("compressed anew the digest is %s, and was %s", anew, first)
	}
	// A disk that was full, or a hand that went astray.
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the cache holds %v (%v), want one file", files, err)
	}
	if err := os.Truncate(files[0], 10); err != nil {
		t.Fatal(err)
	}
	if mended := digest(t, build(dir)); mended != first {
		t.Errorf("with a damaged cache the digest is %s, and was %s", mended, first)
	}
}

func TestClearKeepsWhatWasUsed(t *testing.T) {
	dir := t.TempDir()
	build := func(content string) *layer.Cache {
		cache, err := layer.OpenCache(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cache.Gzip([]layer.Entry{{Path: "/a", Content: []byte(content)}}); err != nil {
			t.Fatal(err)
		}
		return cache
	}
	build("old")
	before, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := build("new").Clear(); err != nil {
		t.Fatal(err)
	}
	after, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 1 || len(after) != 1 || before[0] == after[0] {
		t.Errorf("the cache held %v, and after another build %v: want only the new one", before, after)
	}
}
