//go:build linux

package local

import (
	"fmt"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Commands say which local command, with its arguments, stands for an image.
type Commands map[string][]string

// ParseCommands reads values of the form IMAGE=COMMAND. The command may have
// arguments, separated by spaces; it must exist. A later value for the same image
// replaces an earlier one.
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

// forImage returns the command that stands for an image: the one for exactly
// this reference, else the one for it without its digest, else the one for it
// without its tag, too.
func (c Commands) forImage(image string) []string {
	if words, ok := c[image]; ok {
		return words
	}
	tagged, _, _ := strings.Cut(image, "@")
	if words, ok := c[tagged]; ok {
		return words
	}
	// A colon before the last slash belongs to a registry's port.
	if colon := strings.LastIndex(tagged, ":"); colon > strings.LastIndex(tagged, "/") {
		return c[tagged[:colon]]
	}
	return nil
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
