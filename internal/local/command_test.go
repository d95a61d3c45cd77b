//go:build linux

package local

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestParseCommands(t *testing.T) {
	for value, want := range map[string][]string{
		"web=true":            {"true"},
		"web= true  -v  a=b ": {"true", "-v", "a=b"},
	} {
		got, err := ParseCommands([]string{value})
		if err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if diff := cmp.Diff(Commands{"web": want}, got); diff != "" {
			t.Errorf("%q: %s", value, diff)
		}
	}
	for value, want := range map[string]string{
		"web":                  "IMAGE=COMMAND",
		"=true":                "IMAGE=COMMAND",
		"web=":                 "IMAGE=COMMAND",
		"web= ":                "IMAGE=COMMAND",
		"web=/no/such/program": "the command for image web cannot be run",
	} {
		if _, err := ParseCommands([]string{value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ...%s...", value, err, want)
		}
	}
}

// An image is found by its whole reference, else without its digest, else without
// its tag as well.
func TestForImage(t *testing.T) {
	commands := Commands{
		"web": {"bare"}, "web:2": {"tagged"}, "registry:5000/shop/web": {"registry"}, "web@sha256:00": {"digest"},
	}
	for image, want := range map[string]string{
		"web":                             "bare",
		"web:1":                           "bare",
		"web:2":                           "tagged",
		"web:2@sha256:11":                 "tagged",
		"web:1@sha256:11":                 "bare",
		"web@sha256:00":                   "digest",
		"web@sha256:11":                   "bare",
		"registry:5000/shop/web":          "registry",
		"registry:5000/shop/web:1":        "registry",
		"registry:5000/shop/web:1@sha:11": "registry",
		"registry:5000/web":               "",
		"other/web":                       "",
		"registry":                        "",
	} {
		if got := strings.Join(commands.forImage(image), " "); got != want {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	commands := Commands{"web": {"true", "--local"}}
	for name, tc := range map[string]struct {
		container corev1.Container
		want, err string
	}{
		"the image's command, with the arguments":  {container: corev1.Container{Image: "web:1", Args: []string{"-a", "$(X)"}}, want: "true --local -a x"},
		"the local program, for the container's":   {container: corev1.Container{Image: "web", Command: []string{"/bin/in-image", "-c"}, Args: []string{"-a"}}, want: "true --local -c -a"},
		"the container's own where nobody says so": {container: corev1.Container{Image: "other", Command: []string{"true", "-c"}, Args: []string{"-a"}}, want: "true -c -a"},
		"no command at all":                        {container: corev1.Container{Name: "app", Image: "other:1", Args: []string{"-a"}}, err: "container app has no command: say which local command stands for its image with --exec other:1=COMMAND"},
		"a command that is not here":               {container: corev1.Container{Name: "app", Image: "other", Command: []string{"/no/such/program"}}, err: "--exec other=COMMAND"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := commands.commandLine(&tc.container, expandIn(map[string]string{"X": "x"}))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want ...%s...", err, tc.err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
