package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes a package source out of a folder, and lets apt know no other
// one while the test runs. It holds demo 1.0 for arm64.
func repository(t *testing.T) Pin {
	t.Helper()
	dir := t.TempDir()
	write := func(path, content string) string {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const control = "Package: demo\nVersion: 1.0\nArchitecture: arm64\nMaintainer: Nobody <nobody@example.org>\nDescription: demo\n"
	write("tree/DEBIAN/control", control)
	write("tree/usr/lib/demo.txt", "a demo")
	write("tree/usr/share/doc/demo/copyright", "free")
	if err := os.Symlink("demo.txt", filepath.Join(dir, "tree/usr/lib/link")); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(dir, "packages", "demo_1.0_arm64.deb")
	if err := os.MkdirAll(filepath.Dir(deb), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", filepath.Join(dir, "tree"), deb).CombinedOutput(); err != nil {
		t.Fatalf("building a package takes dpkg-deb, of Debian's package dpkg: %v: %s", err, out)
	}
	sum, err := sha256File(deb)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(deb)
	if err != nil {
		t.Fatal(err)
	}
	write("packages/Packages", fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %s\n", control, filepath.Base(deb), info.Size(), sum))
	sources := write("sources.list", "deb [trusted=yes] file:"+filepath.Join(dir, "packages")+" ./\n")
	t.Setenv("APT_CONFIG", write("apt.conf", fmt.Sprintf("Dir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"/dev/null\";\n", sources)))
	return Pin{Name: "demo", Version: "1.0", Arch: "arm64", SHA256: sum}
}

func TestFetchAndOpen(t *testing.T) {
	pin, cache := repository(t), t.TempDir()
	paths, err := Fetch(t.Context(), cache, []Pin{pin})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := Open(t.Context(), paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s %o %s%s", e.Path, e.Mode, e.Content, e.Link))
	}
	want := "/usr/lib/demo.txt 644 a demo, /usr/share/doc/demo/copyright 644 free, /usr/lib/link 0 demo.txt"
	if strings.Join(got, ", ") != want {
		t.Errorf("the package holds %s, want %s", strings.Join(got, ", "), want)
	}
	control, err := Control(t.Context(), paths[0])
	if err != nil || !strings.Contains(string(control), "Package: demo\nVersion: 1.0\n") {
		t.Errorf("the package says %q (%v), want its name and version", control, err)
	}

	// What is in the cache needs no package source, and is not believed unseen.
	t.Setenv("PATH", t.TempDir())
	if _, err := Fetch(t.Context(), cache, []Pin{pin}); err != nil {
		t.Errorf("fetching from the cache: %v", err)
	}
	if err := os.WriteFile(paths[0], []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Fetch(t.Context(), cache, []Pin{pin})
	if err == nil || !strings.Contains(err.Error(), "apt-get is not here") {
		t.Errorf("with another file in the cache, and no apt-get: got %v, want an error that asks for apt-get", err)
	}
}

func TestFetchRefuses(t *testing.T) {
	pin := repository(t)
	tests := []struct {
		name   string
		change func(*Pin)
		want   []string
	}{
		{"a version that is offered no more", func(p *Pin) { p.Version = "0.9" },
			[]string{"tools/image/internal/debian/packages.txt pins demo 0.9 for arm64", "offer 1.0 here", "make image-pins"}},
		{"a package that is not the pinned one", func(p *Pin) { p.SHA256 = strings.Repeat("0", 64) },
			[]string{"has the SHA-256 " + pin.SHA256, "do not use it"}},
		{"a package that nobody offers", func(p *Pin) { p.Name = "nothing" }, []string{"nothing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed, cache := pin, t.TempDir()
			tt.change(&changed)
			_, err := Fetch(t.Context(), cache, []Pin{changed})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to say %q", err, want)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) != 0 {
				t.Errorf("the cache holds %v", left)
			}
		})
	}
}

func TestRenew(t *testing.T) {
	pin := repository(t)
	got, err := renewed(t.Context(), "# head\ndemo 0.1 arm64 "+strings.Repeat("0", 64)+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# head\n" + pin.String() + "\n"; got != want {
		t.Errorf("the new list is\n%s, want\n%s", got, want)
	}
}

func TestTheListIsWellFormed(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		pins, err := Pins(arch)
		if err != nil {
			t.Fatal(err)
		}
		for _, pin := range pins {
			if len(pin.SHA256) != 64 || strings.Trim(pin.SHA256, "0123456789abcdef") != "" {
				t.Errorf("%s for %s: %q is no SHA-256", pin.Name, pin.Arch, pin.SHA256)
			}
		}
	}
	if _, err := Pins("riscv64"); err == nil || !strings.Contains(err.Error(), listPath) {
		t.Errorf("for an architecture without pins: got %v, want an error that names %s", err, listPath)
	}
	if _, _, err := parse("demo 1.0 arm64\n"); err == nil || !strings.Contains(err.Error(), "packages.txt:1: want name, version") {
		t.Errorf("for a line without a checksum: got %v", err)
	}
}
