package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

var arches = []string{"amd64", "arm64"}

// programs builds the project's programs into a folder as image smi wants it.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, arch := range arches {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "linux-"+arch)+"/", "./cmd/smi", "./examples/sample")
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the programs for %s: %v\n%s", arch, err, out)
		}
	}
	return dir
}

// envoy returns the Envoy that images for an architecture contain.
func envoy(t *testing.T, arch string) string {
	t.Helper()
	cmd := exec.Command("../envoy.sh", "image", arch)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tools/envoy.sh image %s: %v: %s", arch, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// build runs image smi and returns what it prints.
func build(t *testing.T, programs, out string) string {
	t.Helper()
	args := []string{"smi", "--version", "v1", "--registry", "localhost/team", "--programs", programs, "--fast", "-o", out}
	for _, arch := range arches {
		args = append(args, "--envoy", arch+"="+envoy(t, arch))
	}
	printed, err := run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return printed
}

func TestImages(t *testing.T) {
	from, out := programs(t), t.TempDir()
	printed := build(t, from, out)

	t.Run("built again elsewhere they are the same", func(t *testing.T) { sameAgain(t, from, out, printed) })
	t.Run("what cannot become an image is refused", func(t *testing.T) { refuses(t, from) })
	for _, arch := range arches {
		t.Run(arch, func(t *testing.T) {
			for _, name := range []string{"smi", "smi-proxy", "smi-sample"} {
				image := onlyImage(t, filepath.Join(out, name+".tar"), arch)
				machines(t, image, arch)
				contents(t, name, arch, image)
			}
		})
	}
	t.Run("what they hold runs", func(t *testing.T) {
		runs(t, onlyImage(t, filepath.Join(out, "smi-proxy.tar"), runtime.GOARCH))
	})
}

// sameAgain builds from copies of the programs that have another place and time.
func sameAgain(t *testing.T, from, out, printed string) {
	elsewhere, otherOut := t.TempDir(), t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	past := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, arch := range arches {
		if err := os.Chtimes(filepath.Join(elsewhere, "linux-"+arch, "smi"), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if again := build(t, elsewhere, otherOut); again != printed {
		t.Errorf("the second build printed\n%s, and the first\n%s", again, printed)
	}
	for _, name := range []string{"smi.tar", "smi-proxy.tar", "smi-sample.tar"} {
		one, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(filepath.Join(otherOut, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, other) {
			t.Errorf("%s differs", name)
		}
	}
}

func refuses(t *testing.T, from string) {
	_, err := run(t, "smi", "--programs", t.TempDir(), "--arch", "arm64", "--fast", "-o", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "linux-arm64/smi: no such file or directory: build the programs first, as `make images` does") {
		t.Errorf("without programs: got %v", err)
	}
	_, err = run(t, "smi", "--arch", "", "-o", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "--arch names no architecture") {
		t.Errorf("without an architecture: got %v", err)
	}
	_, err = run(t, "smi", "--programs", from, "--arch", "arm64", "--envoy", "arm64="+envoy(t, "amd64"), "--fast", "-o", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "image smi-proxy for arm64: /usr/local/bin/envoy: is made for EM_X86_64 and not for arm64") {
		t.Errorf("with an Envoy for amd64 in an image for arm64: got %v", err)
	}
	_, err = run(t, "smi", "--programs", from, "--arch", "arm64", "--fast", "-o", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "--envoy arm64=PATH") {
		t.Errorf("without an Envoy: got %v, want an error that names the flag", err)
	}
}

// machines checks that every ELF file of an image is for its architecture.
func machines(t *testing.T, image v1.Image, arch string) {
	t.Helper()
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	content := mutate.Extract(image)
	defer content.Close()
	found := 0
	each(t, content, func(h *tar.Header, r io.Reader) {
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(raw, []byte(elf.ELFMAG)) {
			return
		}
		found++
		file, err := elf.NewFile(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != want {
			t.Errorf("%s is for %s, want %s", h.Name, file.Machine, want)
		}
	})
	if found == 0 {
		t.Error("the image holds no program")
	}
}

// contents checks what an image holds, and how it starts.
func contents(t *testing.T, name, arch string, image v1.Image) {
	t.Helper()
	want := map[string]string{
		"smi":        "755 0 usr\n755 0 usr/bin\n755 0 usr/bin/smi\n",
		"smi-sample": "755 0 usr\n755 0 usr/bin\n755 0 usr/bin/smi-sample\n",
		"smi-proxy":  proxyFiles(arch),
	}[name]
	if got := list(t, image); !sameLines(got, want) {
		t.Errorf("%s holds\n%s, want\n%s", name, got, want)
	}
	started := map[string]string{"smi": "65532:65532 /usr/bin/smi", "smi-proxy": "1337:1337 /usr/bin/smi", "smi-sample": "65532:65532 /usr/bin/smi-sample"}
	c := config(t, image)
	if got := c.User + " " + strings.Join(c.Entrypoint, " "); got != started[name] {
		t.Errorf("%s starts as %s, want %s", name, got, started[name])
	}
	if name != "smi-proxy" {
		return
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 3 {
		t.Errorf("the proxy has %d layers, want libraries, Envoy and smi", len(layers))
	}
}

func proxyFiles(arch string) string {
	triplet, link := "x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
	loader, folder := "ld-linux-x86-64.so.2", "755 0 lib64\n"
	if arch == "arm64" {
		triplet, link = "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1 -> aarch64-linux-gnu/ld-linux-aarch64.so.1"
		loader, folder = "ld-linux-aarch64.so.1", ""
	}
	return strings.NewReplacer("TRIPLET", triplet, "LINK", link, "LOADER", loader, "FOLDER", folder).Replace(`755 0 etc
etc/os-release -> ../usr/lib/os-release
755 0 lib
FOLDER755 0 lib/TRIPLET
755 0 lib/TRIPLET/LOADER
755 0 lib/TRIPLET/libc.so.6
644 0 lib/TRIPLET/libdl.so.2
644 0 lib/TRIPLET/libm.so.6
644 0 lib/TRIPLET/libpthread.so.0
644 0 lib/TRIPLET/librt.so.1
LINK
755 0 usr
755 0 usr/bin
755 0 usr/bin/smi
755 0 usr/lib
644 0 usr/lib/os-release
755 0 usr/local
755 0 usr/local/bin
755 0 usr/local/bin/envoy
755 0 usr/share
755 0 usr/share/doc
755 0 usr/share/doc/base-files
644 0 usr/share/doc/base-files/copyright
755 0 usr/share/doc/libc6
644 0 usr/share/doc/libc6/copyright
755 0 var
755 0 var/lib
755 0 var/lib/dpkg
755 0 var/lib/dpkg/status.d
644 0 var/lib/dpkg/status.d/base-files
644 0 var/lib/dpkg/status.d/libc6
`)
}

// runs runs what the proxy's image holds with nothing else in sight, as the user
// that the image names.
func runs(t *testing.T, image v1.Image) {
	if os.Geteuid() != 0 {
		t.Fatal("this test runs programs with the image as their root folder, which only root may do: run it as root")
	}
	root := t.TempDir()
	extract(t, image, root)
	// The image's user has to enter it.
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"/usr/local/bin/envoy", "--version"}, "/1.40.0/"},
		{[]string{"/usr/local/bin/envoy", "--mode", "validate", "--config-yaml", "node: {id: a, cluster: b}"}, "OK"},
		{[]string{"/usr/bin/smi", "version"}, "smi "},
	}
	for _, tt := range tests {
		cmd := exec.CommandContext(t.Context(), tt.args[0], tt.args[1:]...)
		cmd.Env = config(t, image).Env
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 1337, Gid: 1337}}
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %v: printed %q, want it to contain %q", strings.Join(tt.args, " "), err, out, tt.want)
		}
	}
}
