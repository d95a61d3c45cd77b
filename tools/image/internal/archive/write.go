package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The annotations by which an importer names the image. The first takes the
// whole reference for containerd; for others the second is the name of this
// image within the archive.
const (
	annotationContainerd = "io.containerd.image.name"
	annotationRef        = "org.opencontainers.image.ref.name"
)

// WriteFile writes an image, or an index of images, to path as an OCI archive
// that is named ref (see CheckRef). What was there is replaced once the new
// archive is complete.
func WriteFile(path, ref string, image mutate.Appendable) error {
	if err := CheckRef(ref); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what is built is for everybody to read
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // gone already where all went well
	err = write(temp, ref, image)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(temp.Name(), path)
}

func write(w io.Writer, ref string, image mutate.Appendable) error {
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image,
		Descriptor: v1.Descriptor{Annotations: map[string]string{
			annotationContainerd: ref,
			annotationRef:        ref,
		}},
	})
	raw, err := index.RawManifest()
	if err != nil {
		return err
	}
	a := &writer{tar: tar.NewWriter(w), written: map[v1.Hash]bool{}}
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := a.file("index.json", raw); err != nil {
		return err
	}
	if err := a.index(index); err != nil {
		return err
	}
	return a.tar.Close()
}

// writer writes the blobs of an OCI layout, each once.
type writer struct {
	tar     *tar.Writer
	written map[v1.Hash]bool
}

// index writes everything that the index refers to, but not the index itself.
func (a *writer) index(index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, descriptor := range manifest.Manifests {
		if !descriptor.MediaType.IsIndex() {
			image, err := index.Image(descriptor.Digest)
			if err != nil {
				return err
			}
			if err := a.image(image, descriptor.Digest); err != nil {
				return err
			}
			continue
		}
		inner, err := index.ImageIndex(descriptor.Digest)
		if err != nil {
			return err
		}
		raw, err := inner.RawManifest()
		if err != nil {
			return err
		}
		if err := a.bytes(descriptor.Digest, raw); err != nil {
			return err
		}
		if err := a.index(inner); err != nil {
			return err
		}
	}
	return nil
}

func (a *writer) image(image v1.Image, digest v1.Hash) error {
	raw, err := image.RawManifest()
	if err != nil {
		return err
	}
	if err := a.bytes(digest, raw); err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := image.ConfigName()
	if err != nil {
		return err
	}
	if err := a.bytes(name, config); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := a.layer(l); err != nil {
			return err
		}
	}
	return nil
}

func (a *writer) layer(l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	content, err := l.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	return a.blob(digest, size, content)
}

func (a *writer) bytes(digest v1.Hash, content []byte) error {
	return a.blob(digest, int64(len(content)), bytes.NewReader(content))
}

// blob writes a blob and checks that it is what the digest says: a file may have
// changed since the digest was made.
func (a *writer) blob(digest v1.Hash, size int64, content io.Reader) error {
	if a.written[digest] {
		return nil
	}
	a.written[digest] = true
	if err := a.header("blobs/"+digest.Algorithm+"/"+digest.Hex, size); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(a.tar, sum), content); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest.Hex {
		return fmt.Errorf("a file changed while the image was built: a blob should have the digest %s and has %s: build again", digest.Hex, got)
	}
	return nil
}

func (a *writer) file(name string, content []byte) error {
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

func (a *writer) header(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Mode:     0o644,
		Size:     size,
		ModTime:  time.Unix(0, 0).UTC(),
		Format:   tar.FormatUSTAR,
	})
}
