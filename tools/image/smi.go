package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/smi-project/smi/tools/image/internal/archive"
	"github.com/smi-project/smi/tools/image/internal/debian"
	"github.com/smi-project/smi/tools/image/internal/layer"
	"github.com/smi-project/smi/tools/image/internal/project"
)

// smiOptions are the flags of image smi.
type smiOptions struct {
	version, registry, programs, out string
	arches                           []string
	envoys                           map[string]string
	fast                             bool
}

func smiCommand() *cobra.Command {
	var o smiOptions
	cmd := &cobra.Command{
		Use:   "smi",
		Short: "Build the project's images",
		Long: `Build the project's images from programs that are built already, and write one
OCI archive per image, with one manifest per architecture. 'make images' builds
the programs, fetches Envoy and calls this.`,
		Example: `  image smi --version v1.2.3 --registry localhost --arch amd64 --programs dist/programs --envoy amd64=/usr/bin/envoy -o dist/images`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.version, "version", "dev", "tag of the images")
	flags.StringVar(&o.registry, "registry", "localhost", "registry, and folder within it, that the images are named after")
	flags.StringSliceVar(&o.arches, "arch", []string{"amd64", "arm64"}, "architectures")
	flags.StringVar(&o.programs, "programs", "dist/programs", "folder with linux-ARCH/smi and linux-ARCH/sample")
	flags.StringToStringVar(&o.envoys, "envoy", nil, "Envoy for an architecture, ARCH=PATH")
	flags.BoolVar(&o.fast, "fast", false, "do not compress: quicker to build and to import, three times as large")
	flags.StringVarP(&o.out, "output", "o", "dist/images", "folder for the archives")
	return cmd
}

func (o smiOptions) run(ctx context.Context, out io.Writer) error {
	if len(o.arches) == 0 {
		return errors.New("--arch names no architecture: write amd64, arm64 or both")
	}
	packages, err := debian.CacheDir()
	if err != nil {
		return err
	}
	in := project.Inputs{
		Version:  o.version,
		Programs: o.programs,
		Envoys:   o.envoys,
		Packages: packages,
		Layer:    layer.Plain,
	}
	var cache *layer.Cache
	if !o.fast {
		if cache, err = layer.OpenCache(filepath.Join(o.out, ".layers")); err != nil {
			return err
		}
		in.Layer = cache.Gzip
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tARCH\tDIGEST\tMB")
	for _, image := range project.Images() {
		if err := o.build(ctx, image, in, table); err != nil {
			return err
		}
	}
	if cache != nil {
		// What was built before takes no room for longer than it is of use.
		if err := cache.Clear(); err != nil {
			return err
		}
	}
	return table.Flush()
}

// build builds one image for all architectures, writes it and adds its rows.
func (o smiOptions) build(ctx context.Context, image project.Image, in project.Inputs, table io.Writer) error {
	ref := strings.TrimSuffix(o.registry, "/") + "/" + image.Name + ":" + o.version
	images := make([]v1.Image, len(o.arches))
	for i, arch := range o.arches {
		var err error
		if images[i], err = image.Build(ctx, in, arch); err != nil {
			return err
		}
		digest, err := images[i].Digest()
		if err != nil {
			return err
		}
		size, err := archive.Size(images[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\n", ref, arch, digest, float64(size)/1e6)
	}
	index, err := archive.Index(images...)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "%s\tall\t%s\t\n", ref, digest)
	return archive.WriteFile(filepath.Join(o.out, image.Name+".tar"), ref, index)
}
