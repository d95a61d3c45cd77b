package layer

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Cache is a folder of compressed layers. It knows a layer by what is in it, so
// that nothing is compressed twice.
type Cache struct {
	dir  string
	used map[string]bool
}

// OpenCache opens the cache in dir, which is made if need be.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is built is for everybody to read
		return nil, err
	}
	return &Cache{dir: dir, used: map[string]bool{}}, nil
}

// Gzip returns the layer of the entries, compressed.
func (c *Cache) Gzip(entries []Entry) (v1.Layer, error) {
	inner, err := Plain(entries)
	if err != nil {
		return nil, err
	}
	diffID, err := inner.DiffID()
	if err != nil {
		return nil, err
	}
	path, digest, size, err := c.find(diffID)
	if err == nil && path == "" {
		path, digest, size, err = c.add(inner, diffID)
	}
	if err != nil {
		return nil, err
	}
	c.used[path] = true
	return &compressed{Layer: inner, path: path, digest: digest, size: size}, nil
}

// Clear removes the layers that were not asked for since the cache was opened.
func (c *Cache) Clear() error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if path := filepath.Join(c.dir, file.Name()); !c.used[path] {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// prefix begins the name of a cached layer. Another Go may compress otherwise,
// and what the cache holds must not decide what a build yields.
func (c *Cache) prefix(diffID v1.Hash) string {
	return filepath.Join(c.dir, diffID.Hex+"-"+strings.ReplaceAll(runtime.Version(), " ", "_")+"-")
}

const suffix = ".tar.gz"

// find returns the path of a cached layer, or "" if there is none that is whole.
func (c *Cache) find(diffID v1.Hash) (path string, digest v1.Hash, size int64, err error) {
	prefix := c.prefix(diffID)
	found, err := filepath.Glob(prefix + "*" + suffix)
	if err != nil {
		return "", v1.Hash{}, 0, err
	}
	for _, path := range found {
		digest, size, err := measure(func(w io.Writer) error { return copyFile(w, path) })
		if err != nil {
			return "", v1.Hash{}, 0, err
		}
		if path == prefix+digest.Hex+suffix {
			return path, digest, size, nil
		}
	}
	return "", v1.Hash{}, 0, nil
}

// add compresses a layer into the cache.
func (c *Cache) add(inner v1.Layer, diffID v1.Hash) (path string, digest v1.Hash, size int64, err error) {
	temp, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return "", v1.Hash{}, 0, err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // renamed where all went well
	digest, size, err = measure(func(sum io.Writer) error { return deflate(io.MultiWriter(temp, sum), inner) })
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", v1.Hash{}, 0, err
	}
	path = c.prefix(diffID) + digest.Hex + suffix
	return path, digest, size, os.Rename(temp.Name(), path)
}

func deflate(w io.Writer, inner v1.Layer) error {
	content, err := inner.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	// Its header has neither a time nor a name unless it is told them.
	zip := gzip.NewWriter(w)
	if _, err := io.Copy(zip, content); err != nil {
		return err
	}
	return zip.Close()
}

func copyFile(w io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// compressed is a layer whose compressed form lies in the cache.
type compressed struct {
	v1.Layer
	path   string
	digest v1.Hash
	size   int64
}

// Digest is that of the compressed layer.
func (l *compressed) Digest() (v1.Hash, error) { return l.digest, nil }

// Size is that of the compressed layer, in bytes.
func (l *compressed) Size() (int64, error) { return l.size, nil }

// MediaType says that it is compressed by gzip, which everybody can read.
func (l *compressed) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Compressed reads the layer from the cache.
func (l *compressed) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }
