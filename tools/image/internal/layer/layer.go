package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// plain is a layer that is not compressed. It keeps no copy of its files: it
// reads them once for the digest and once more whenever it is written.
type plain struct {
	entries []Entry
	digest  v1.Hash
	size    int64
}

// Plain returns the layer of the entries, not compressed. It reads the files to
// know the digest, and expects that they do not change until it is written;
// whoever writes it has to check the digest.
func Plain(entries []Entry) (v1.Layer, error) {
	sorted, err := withFolders(entries)
	if err != nil {
		return nil, err
	}
	l := &plain{entries: sorted}
	l.digest, l.size, err = measure(func(w io.Writer) error { return writeTar(w, sorted) })
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Digest is that of the tar itself, as nothing is compressed.
func (l *plain) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID equals Digest.
func (l *plain) DiffID() (v1.Hash, error) { return l.digest, nil }

// Size is in bytes.
func (l *plain) Size() (int64, error) { return l.size, nil }

// MediaType says that nothing is compressed.
func (l *plain) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

// Compressed is what a registry holds: here the same as Uncompressed.
func (l *plain) Compressed() (io.ReadCloser, error) { return l.Uncompressed() }

// Uncompressed reads the files anew.
func (l *plain) Uncompressed() (io.ReadCloser, error) {
	r, w := io.Pipe()
	// Ends when all is written, or when the reader is closed.
	go func() { w.CloseWithError(writeTar(w, l.entries)) }()
	return r, nil
}

// measure returns the digest and the number of bytes that write produces.
func measure(write func(io.Writer) error) (v1.Hash, int64, error) {
	sum := sha256.New()
	count := &counter{to: sum}
	if err := write(count); err != nil {
		return v1.Hash{}, 0, err
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, count.bytes, nil
}

// counter counts what it hands on.
type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}
