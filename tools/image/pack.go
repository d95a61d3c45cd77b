package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/smi-project/smi/tools/image/internal/archive"
	"github.com/smi-project/smi/tools/image/internal/layer"
)

// packOptions are the flags of image pack.
type packOptions struct {
	ref, arch, out  string
	files, dirs     []string
	entrypoint, cmd []string
	user            string
	env, labels     []string
}

func packCommand() *cobra.Command {
	var o packOptions
	cmd := &cobra.Command{
		Use:   "pack",
		Short: "Pack files into an image of one layer",
		Long: `Pack files into an image of one layer, which is not compressed, and write it as
an OCI archive. Everything belongs to root unless a flag says otherwise. A file
whose mode is not given gets 0755 if somebody may execute it here, else 0644.`,
		Example: `  image pack --ref localhost/pause:1 --file /pause=bin/pause --entrypoint /pause -o pause.tar`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ref, "ref", "", "name of the image, REGISTRY/NAME:TAG")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture that the files are for")
	flags.StringArrayVar(&o.files, "file", nil, "a file, /path/in/image=local/path[:mode], mode in octal")
	flags.StringArrayVar(&o.dirs, "dir", nil, "a folder, /path[:mode[:uid]], mode in octal (0755 and root if not given)")
	flags.StringArrayVar(&o.entrypoint, "entrypoint", nil, "program that the container runs; again for each further argument")
	flags.StringArrayVar(&o.cmd, "cmd", nil, "argument that a pod's args replace; again for each further one")
	flags.StringVar(&o.user, "user", "", "user id, or user:group, that the program runs as (root if not given)")
	flags.StringArrayVar(&o.env, "env", nil, "environment variable, K=V")
	flags.StringArrayVar(&o.labels, "label", nil, "label of the image, K=V")
	flags.StringVarP(&o.out, "output", "o", "", "archive to write")
	for _, name := range []string{"ref", "output"} {
		// Fails only for a flag that does not exist.
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (o packOptions) run(cmd *cobra.Command) error {
	entries, err := o.entries()
	if err != nil {
		return err
	}
	config, err := o.config()
	if err != nil {
		return err
	}
	l, err := layer.Plain(entries)
	if err != nil {
		return err
	}
	image, err := archive.Image(o.arch, config, l)
	if err != nil {
		return err
	}
	if err := archive.WriteFile(o.out, o.ref, image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s\n", o.ref, o.arch, digest)
	return nil
}

func (o packOptions) config() (v1.Config, error) {
	config := v1.Config{Entrypoint: o.entrypoint, Cmd: o.cmd, User: o.user, Env: o.env}
	for _, variable := range o.env {
		if name, _, ok := strings.Cut(variable, "="); !ok || name == "" {
			return v1.Config{}, fmt.Errorf("--env %q: write NAME=VALUE", variable)
		}
	}
	for _, label := range o.labels {
		name, value, ok := strings.Cut(label, "=")
		if !ok || name == "" {
			return v1.Config{}, fmt.Errorf("--label %q: write NAME=VALUE", label)
		}
		if config.Labels == nil {
			config.Labels = map[string]string{}
		}
		config.Labels[name] = value
	}
	return config, nil
}

func (o packOptions) entries() ([]layer.Entry, error) {
	entries := make([]layer.Entry, 0, len(o.files)+len(o.dirs))
	for _, text := range o.files {
		entry, err := parseFile(text)
		if err != nil {
			return nil, fmt.Errorf("--file %q: %w", text, err)
		}
		entries = append(entries, entry)
	}
	for _, text := range o.dirs {
		entry, err := parseDir(text)
		if err != nil {
			return nil, fmt.Errorf("--dir %q: %w", text, err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// parseFile reads /path/in/image=local/path[:mode].
func parseFile(text string) (layer.Entry, error) {
	inImage, local, ok := strings.Cut(text, "=")
	if !ok || local == "" {
		return layer.Entry{}, fmt.Errorf("write /path/in/image=local/path[:mode]")
	}
	// A local path may have colons of its own; a mode is nothing but digits.
	if i := strings.LastIndexByte(local, ':'); i > 0 {
		if mode, err := parseMode(local[i+1:]); err == nil {
			return layer.Entry{Path: inImage, Source: local[:i], Mode: mode}, nil
		}
	}
	info, err := os.Stat(local)
	if err != nil {
		return layer.Entry{}, err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return layer.Entry{Path: inImage, Source: local, Mode: mode}, nil
}

// parseDir reads /path[:mode[:uid]].
func parseDir(text string) (layer.Entry, error) {
	parts := strings.Split(text, ":")
	entry := layer.Entry{Path: parts[0], Mode: 0o755, Dir: true}
	var err error
	if len(parts) > 1 {
		if entry.Mode, err = parseMode(parts[1]); err != nil {
			return layer.Entry{}, err
		}
	}
	if len(parts) > 2 {
		if entry.UID, err = strconv.Atoi(parts[2]); err != nil {
			return layer.Entry{}, fmt.Errorf("user id %q is no number", parts[2])
		}
	}
	if len(parts) > 3 {
		return layer.Entry{}, fmt.Errorf("write /path[:mode[:uid]]")
	}
	return entry, nil
}

func parseMode(text string) (int64, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		return 0, fmt.Errorf("mode %q is no octal number such as 0755", text)
	}
	return int64(mode), nil
}
