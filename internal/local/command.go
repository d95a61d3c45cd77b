//go:build linux

package local

import (
	"fmt"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Commands say which local command stands for an image.
type Commands map[string][]string

// ParseCommands reads values of the form IMAGE=COMMAND. The command may have
// arguments, separated by spaces.
func ParseCommands(values []string) (Commands, error) {
	commands := Commands{}
	for _, v := range values {
		image, command, ok := strings.Cut(v, "=")
		words := strings.Fields(command)
		if !ok || image == "" || len(words) == 0 {
			return nil, fmt.Errorf("%q is not of the form IMAGE=COMMAND, such as shop/web=bin/web", v)
		}
		if _, err := exec.LookPath(words[0]); err != nil {
			return nil, fmt.Errorf("the command for image %s cannot be run: %w", image, err)
		}
		commands[image] = words
	}
	return commands, nil
}

// forImage returns the command that stands for an image, named with or without
// its tag or digest.
func (c Commands) forImage(image string) []string {
	if words, ok := c[image]; ok {
		return words
	}
	bare, _, _ := strings.Cut(image, "@")
	if slash := strings.LastIndex(bare, "/"); strings.LastIndex(bare, ":") > slash {
		bare = bare[:strings.LastIndex(bare, ":")]
	}
	return c[bare]
}

// commandLine is what a container runs. Where a local command stands for the
// image it takes the place of the container's executable, which is a path
// inside the image; the arguments stay.
func (c Commands) commandLine(container *corev1.Container, expand func(string) string) ([]string, error) {
	var words []string
	written := container.Command
	if local := c.forImage(container.Image); local != nil {
		words = append(words, local...)
		if len(written) > 0 {
			written = written[1:]
		}
	} else if len(written) == 0 {
		return nil, fmt.Errorf("container %s has no command: say which local command stands for its image with --exec %s=COMMAND", container.Name, container.Image)
	}
	for _, w := range append(append([]string{}, written...), container.Args...) {
		words = append(words, expand(w))
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, fmt.Errorf("container %s: %w: say which local command stands for its image with --exec %s=COMMAND", container.Name, err, container.Image)
	}
	return words, nil
}
