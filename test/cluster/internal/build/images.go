package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Image is an image that the node needs from the beginning.
type Image struct {
	// Ref is the image's name, with its tag.
	Ref string
	// File is the archive.
	File string
}

// The names of the images.
const (
	// PauseImage keeps a pod's namespaces.
	PauseImage = "localhost/pause:1"
	// CoreDNSImage answers names.
	CoreDNSImage = "localhost/coredns:1"
)

// imageRecipe is a part of the images' key: see recipe.
const imageRecipe = "1"

// Images packs the images that are not in the cache. The folders are those of
// Ensure.
func (c *Cache) Images(ctx context.Context, folders map[string]string) ([]Image, error) {
	source := filepath.Join(c.Source, "pause")
	code, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		return nil, fmt.Errorf("%s is a part of the checkout and cannot be read: %w", source, err)
	}
	sum := sha256.Sum256([]byte(imageRecipe + filepath.Base(folders["coredns"]) + string(code)))
	folder := filepath.Join(c.Dir, "images-"+hex.EncodeToString(sum[:])[:16])
	images := []Image{
		{Ref: PauseImage, File: filepath.Join(folder, "pause.tar")},
		{Ref: CoreDNSImage, File: filepath.Join(folder, "coredns.tar")},
	}
	if exists(images[0].File) && exists(images[1].File) {
		return images, nil
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	c.Progress("packing the images %s and %s", PauseImage, CoreDNSImage)
	if err := os.MkdirAll(folder, 0o750); err != nil { //nolint:gosec // its name is a hash
		return nil, fmt.Errorf("make the cache of images: %w", err)
	}
	pause := filepath.Join(folder, "pause")
	if err := c.goIn(ctx, c.Source, "build", "-trimpath", "-ldflags=-s -w", "-o", pause, "./pause"); err != nil {
		return nil, fmt.Errorf("build pause: %w", err)
	}
	for i, program := range []string{pause, filepath.Join(folders["coredns"], "coredns")} {
		if err := c.pack(ctx, images[i], program); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// pack makes an image of one static program, with the project's image builder.
func (c *Cache) pack(ctx context.Context, image Image, program string) error {
	inside := "/" + filepath.Base(program)
	part := image.File + ".part"
	builder := filepath.Join(c.Source, "..", "..", "tools", "image")
	err := c.goIn(ctx, builder, "run", ".", "pack", "--ref", image.Ref, "--arch", runtime.GOARCH,
		"--file", inside+"="+program+":755", "--entrypoint", inside, "-o", part)
	if err != nil {
		return fmt.Errorf("pack the image %s: %w", image.Ref, err)
	}
	return os.Rename(part, image.File)
}

// Assets gives a folder in the cache with the programs that API tests look for
// in KUBEBUILDER_ASSETS: etcd, kube-apiserver and kubectl.
func (c *Cache) Assets(folders map[string]string) (string, error) {
	assets := filepath.Join(c.Dir, "assets")
	if err := os.MkdirAll(assets, 0o750); err != nil {
		return "", fmt.Errorf("make the folder of assets: %w", err)
	}
	for program, component := range map[string]string{"etcd": "etcd", "kube-apiserver": "kubernetes", "kubectl": "kubernetes"} {
		link, target := filepath.Join(assets, program), filepath.Join(folders[component], program)
		if now, err := os.Readlink(link); err == nil && now == target {
			continue
		}
		// A link is replaced in one step: somebody may be using the old one.
		part := fmt.Sprintf("%s.%d", link, os.Getpid())
		if err := os.Symlink(target, part); err != nil {
			return "", fmt.Errorf("link %s: %w", program, err)
		}
		if err := os.Rename(part, link); err != nil {
			return "", fmt.Errorf("link %s: %w", program, err)
		}
	}
	return assets, nil
}

// LoadCommand is the command that imports an archive into a containerd.
func LoadCommand(ctx context.Context, folders map[string]string, socket, file string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(folders["containerd"], "ctr"),
		"--address", socket, "--namespace", "k8s.io", "images", "import", "--local", file)
}
