package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// epoch is the time of everything in an image, so that the day of a build
// changes nothing.
var epoch = time.Unix(0, 0).UTC()

// writeTar writes sorted entries.
func writeTar(w io.Writer, entries []Entry) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		if err := writeEntry(tw, e); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return tw.Close()
}

func writeEntry(tw *tar.Writer, e Entry) error {
	header := &tar.Header{
		Typeflag: e.kind(),
		Name:     e.name(),
		Linkname: e.Link,
		Mode:     e.Mode,
		Uid:      e.UID,
		Gid:      e.UID,
		ModTime:  epoch,
		Format:   tar.FormatPAX,
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return tw.WriteHeader(header)
	case tar.TypeSymlink:
		header.Mode = 0o777
		return tw.WriteHeader(header)
	}
	content, size, err := e.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Size = size
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(tw, content); err != nil {
		return fmt.Errorf("copying %s: %w", e.Source, err)
	}
	return nil
}

// Content is an open file of a layer.
type Content interface {
	io.ReadCloser
	io.ReaderAt
}

// Open opens a file of a layer and tells its size in bytes. Folders and links
// have no content to open.
func (e Entry) Open() (Content, int64, error) {
	if e.kind() != tar.TypeReg {
		return nil, 0, fmt.Errorf("%s is no file", e.Path)
	}
	if e.Source == "" {
		return inMemory{bytes.NewReader(e.Content)}, int64(len(e.Content)), nil
	}
	file, err := os.Open(e.Source)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", e.Source)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

type inMemory struct{ *bytes.Reader }

// Close does nothing.
func (inMemory) Close() error { return nil }
