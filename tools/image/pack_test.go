package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// run runs the command line and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPack(t *testing.T) {
	dir := t.TempDir()
	program := writeFile(t, filepath.Join(dir, "program"), "run", 0o700)
	odd := writeFile(t, filepath.Join(dir, "a:b=c"), "odd", 0o600)
	out := filepath.Join(dir, "out.tar")
	printed, err := run(t, "pack", "--ref", "localhost/demo:v1", "--arch", "arm64",
		"--file", "/bin/program="+program, "--file", "/etc/odd="+odd, "--file", "/etc/secret="+program+":0400",
		"--dir", "/tmp:1777", "--dir", "/home/demo:700:65532", "--dir", "/srv",
		"--entrypoint", "/bin/program", "--entrypoint", "serve", "--cmd", "--port=1,2", "--user", "65532", "--env", "A=b=c", "--label", "l=m", "-o", out)
	if err != nil {
		t.Fatal(err)
	}
	image := onlyImage(t, out, "arm64")
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := "localhost/demo:v1 arm64 " + digest.String() + "\n"; printed != want {
		t.Errorf("it prints %q, want %q", printed, want)
	}
	const want = `1777 0 tmp
700 65532 home/demo
755 0 bin
755 0 bin/program
755 0 etc
755 0 home
755 0 srv
400 0 etc/secret
644 0 etc/odd
`
	if got := list(t, image); !sameLines(got, want) {
		t.Errorf("the image holds\n%s, want\n%s", got, want)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	got := strings.Join([]string{config.OS, config.Architecture, c.User, strings.Join(c.Entrypoint, " "), strings.Join(c.Cmd, " "), strings.Join(c.Env, " "), c.Labels["l"]}, " | ")
	if want := "linux | arm64 | 65532 | /bin/program serve | --port=1,2 | A=b=c | m"; got != want {
		t.Errorf("the config is %s, want %s", got, want)
	}
}

func TestPackRefuses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.tar")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no reference", []string{"-o", out}, `required flag(s) "ref"`},
		{"no registry", []string{"--ref", "demo:v1", "-o", out}, "REGISTRY/NAME:TAG"},
		{"a file without a source", []string{"--ref", "localhost/a:1", "-o", out, "--file", "/a"}, `--file "/a": write /path/in/image=local/path`},
		{"a file that is not here", []string{"--ref", "localhost/a:1", "-o", out, "--file", "/a=/does/not/exist"}, "no such file"},
		{"a mode that is none", []string{"--ref", "localhost/a:1", "-o", out, "--dir", "/a:9"}, `mode "9" is no octal number`},
		{"a user that is none", []string{"--ref", "localhost/a:1", "-o", out, "--dir", "/a:700:me"}, `user id "me" is no number`},
		{"too many words", []string{"--ref", "localhost/a:1", "-o", out, "--dir", "/a:700:1:2"}, "write /path[:mode[:uid]]"},
		{"a variable without a name", []string{"--ref", "localhost/a:1", "-o", out, "--env", "=x"}, "write NAME=VALUE"},
		{"a label without a value", []string{"--ref", "localhost/a:1", "-o", out, "--label", "x"}, "write NAME=VALUE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := run(t, append([]string{"pack"}, tt.args...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("an archive was written nevertheless")
			}
		})
	}
}

// config is the part of an image's config that pods see.
func config(t *testing.T, image v1.Image) v1.Config {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}
