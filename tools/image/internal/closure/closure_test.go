package closure_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smi-project/smi/tools/image/internal/closure"
	"github.com/smi-project/smi/tools/image/internal/debian"
	"github.com/smi-project/smi/tools/image/internal/layer"
)

// offered returns the files of the pinned packages for an architecture.
func offered(t *testing.T, arch string) []layer.Entry {
	t.Helper()
	pins, err := debian.Pins(arch)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := debian.Fetch(t.Context(), cache, pins)
	if err != nil {
		t.Fatal(err)
	}
	var all []layer.Entry
	for _, path := range paths {
		entries, err := debian.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entries...)
	}
	return all
}

func find(t *testing.T, entries []layer.Entry, path string) int {
	t.Helper()
	i := slices.IndexFunc(entries, func(e layer.Entry) bool { return e.Path == path })
	if i < 0 {
		t.Fatalf("%s is not among the files", path)
	}
	return i
}

// program returns a program that needs what the file at a path needs.
func program(t *testing.T, entries []layer.Entry, path string) []layer.Entry {
	t.Helper()
	return []layer.Entry{{Path: "/program", Content: entries[find(t, entries, path)].Content}}
}

func TestLibraries(t *testing.T) {
	tests := []struct{ arch, program, want string }{
		// The C library can be run itself, and so names a loader.
		{"amd64", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2"},
		{"arm64", "/lib/aarch64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1 /lib/ld-linux-aarch64.so.1"},
		// What is needed needs others in turn.
		{"amd64", "/lib/x86_64-linux-gnu/libm.so.6", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2"},
		{"arm64", "/lib/aarch64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1 /lib/aarch64-linux-gnu/libc.so.6 /lib/ld-linux-aarch64.so.1"},
	}
	for _, tt := range tests {
		t.Run(tt.arch+filepath.Base(tt.program), func(t *testing.T) {
			files := offered(t, tt.arch)
			got, err := closure.Libraries(tt.arch, program(t, files, tt.program), files)
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, e := range got {
				paths = append(paths, e.Path)
			}
			if strings.Join(paths, " ") != tt.want {
				t.Errorf("it needs %s, want %s", strings.Join(paths, " "), tt.want)
			}
		})
	}
}

func TestLibrariesRefuses(t *testing.T) {
	files, foreign := offered(t, "amd64"), offered(t, "arm64")
	const libc, loader, link = "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"
	needy := program(t, files, "/lib/x86_64-linux-gnu/libm.so.6")
	without := func(path string) []layer.Entry {
		i := find(t, files, path)
		return slices.Delete(slices.Clone(files), i, i+1)
	}
	with := func(path string, change layer.Entry) []layer.Entry {
		change.Path = path
		return append(without(path), change)
	}
	tests := []struct {
		name     string
		programs []layer.Entry
		offered  []layer.Entry
		want     string
	}{
		{"a library that nobody offers", needy, without(libc), "/program needs libc.so.6: no package offers it"},
		{"a library that a library needs", needy, without(loader), libc + " needs"},
		{"a loader that nobody offers", needy, without(link), "needs the loader " + link},
		{"a library that lacks symbols", needy, with(libc, files[find(t, files, "/lib/x86_64-linux-gnu/libdl.so.2")]), " of libc.so.6, and the packages offer an "},
		{"a library of another architecture", needy, with(libc, foreign[find(t, foreign, "/lib/aarch64-linux-gnu/libc.so.6")]), "is made for EM_AARCH64 and not for amd64"},
		{"a program of another architecture", program(t, foreign, "/lib/aarch64-linux-gnu/libm.so.6"), files, "/program: is made for EM_AARCH64"},
		{"links in a circle", needy, with(libc, layer.Entry{Link: "libc.so.6"}), "too many links"},
		{"a script", []layer.Entry{{Path: "/program", Content: []byte("#!/bin/sh" + strings.Repeat("\n", 64))}}, files, "/program: bad magic number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := closure.Libraries("amd64", tt.programs, tt.offered)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := closure.Libraries("mips", nil, nil); err == nil || !strings.Contains(err.Error(), "known are [amd64 arm64]") {
		t.Errorf("for an unknown architecture: got %v", err)
	}
}
