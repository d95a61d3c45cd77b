package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/smi-project/smi/tools/image/internal/archive"
	"github.com/smi-project/smi/tools/image/internal/closure"
	"github.com/smi-project/smi/tools/image/internal/layer"
)

// Inputs is all that decides what the images of one build contain, beside the
// pinned packages.
type Inputs struct {
	// Version is the images' tag.
	Version string
	// Programs is a folder that holds linux-ARCH/smi and linux-ARCH/sample.
	Programs string
	// Envoys are the paths of Envoy, by architecture.
	Envoys map[string]string
	// Packages is the folder where fetched packages are kept.
	Packages string
	// Layer makes a layer: layer.Plain, or the Gzip of a cache.
	Layer func([]layer.Entry) (v1.Layer, error)
}

// Image is one of the project's images.
type Image struct {
	Name string
	// description is for people who look at the image.
	description string
	entrypoint  string
	// user is the id of the user, and of the group, that it runs as unless a pod
	// says otherwise. Without a group that would be root's.
	user string
	// layers returns what each layer holds, the lowest first.
	layers func(ctx context.Context, in Inputs, arch string) ([][]layer.Entry, error)
}

// Where programs are in the images. All layers of an image lie in their own
// folders, so that no layer repeats a file of another.
const (
	smiPath    = "/usr/bin/smi"
	samplePath = "/usr/bin/smi-sample"
	envoyPath  = "/usr/local/bin/envoy"
)

const (
	// nonRoot is the user of what needs no right at all.
	nonRoot = "65532"
	// proxyUser is the user whose own traffic is not redirected to the proxy. A
	// sidecar that ran as another one would speak to itself for ever.
	proxyUser = "1337"
)

// Images returns the project's images, in the order in which they are built.
func Images() []Image {
	return []Image{{
		Name:        "smi",
		description: "The controller of SMI, and its command line",
		entrypoint:  smiPath,
		user:        nonRoot,
		layers: func(_ context.Context, in Inputs, arch string) ([][]layer.Entry, error) {
			return static(arch, in.program(arch, "smi", smiPath))
		},
	}, {
		Name:        "smi-proxy",
		description: "The sidecar of SMI: Envoy and its agent",
		entrypoint:  smiPath,
		user:        proxyUser,
		layers:      proxyLayers,
	}, {
		Name:        "smi-sample",
		description: "A small service for demonstrations and tests of SMI, not for production",
		entrypoint:  samplePath,
		user:        nonRoot,
		layers: func(_ context.Context, in Inputs, arch string) ([][]layer.Entry, error) {
			return static(arch, in.program(arch, "sample", samplePath))
		},
	}}
}

// Build returns the image for one architecture.
func (i Image) Build(ctx context.Context, in Inputs, arch string) (v1.Image, error) {
	contents, err := i.layers(ctx, in, arch)
	if err != nil {
		return nil, fmt.Errorf("image %s for %s: %w", i.Name, arch, err)
	}
	layers := make([]v1.Layer, len(contents))
	for n, content := range contents {
		if layers[n], err = in.Layer(content); err != nil {
			return nil, fmt.Errorf("image %s for %s: %w", i.Name, arch, err)
		}
	}
	return archive.Image(arch, v1.Config{
		Entrypoint: []string{i.entrypoint},
		User:       i.user + ":" + i.user,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Labels: map[string]string{
			"org.opencontainers.image.title":       i.Name,
			"org.opencontainers.image.description": i.description,
			"org.opencontainers.image.version":     in.Version,
			"org.opencontainers.image.licenses":    "Apache-2.0",
		},
	}, layers...)
}

func (in Inputs) program(arch, name, path string) layer.Entry {
	return layer.Entry{Path: path, Mode: 0o755, Source: filepath.Join(in.Programs, "linux-"+arch, name)}
}

// static returns one layer with a program that must need no library.
func static(arch string, program layer.Entry) ([][]layer.Entry, error) {
	_, err := closure.Libraries(arch, []layer.Entry{program}, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: build the programs first, as `make images` does", err)
	}
	if err != nil {
		return nil, err
	}
	return [][]layer.Entry{{program}}, nil
}

// proxyLayers returns the libraries, then Envoy, then smi: an edit of smi leaves
// the two large layers as they are.
func proxyLayers(ctx context.Context, in Inputs, arch string) ([][]layer.Entry, error) {
	source, ok := in.Envoys[arch]
	if !ok {
		return nil, fmt.Errorf("no Envoy is given for %s: name one with --envoy %s=PATH", arch, arch)
	}
	envoy := layer.Entry{Path: envoyPath, Mode: 0o755, Source: source}
	libraries, err := libraries(ctx, in.Packages, arch, envoy)
	if err != nil {
		return nil, err
	}
	smi, err := static(arch, in.program(arch, "smi", smiPath))
	if err != nil {
		return nil, err
	}
	return [][]layer.Entry{libraries, {envoy}, smi[0]}, nil
}
