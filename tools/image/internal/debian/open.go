package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"

	"github.com/smi-project/smi/tools/image/internal/layer"
)

// maxUnpacked bounds what one package may hold, in bytes.
const maxUnpacked = 256 << 20

// Open returns the files and links of a package that lies at a path. Hard links
// and folders are left out.
func Open(ctx context.Context, deb string) ([]layer.Entry, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("opening Debian's packages takes dpkg-deb: %w", err)
	}
	entries, err := readTar(io.LimitReader(out, maxUnpacked))
	if err != nil {
		// What is not read any more would keep the program waiting.
		_ = cmd.Process.Kill()
	}
	if waited := cmd.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("dpkg-deb: %w: %s", waited, lastLine(errs.String()))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", deb, err)
	}
	return entries, nil
}

// Control returns what a package says about itself, as dpkg records it for the
// packages that are installed.
func Control(ctx context.Context, deb string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--field", deb)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("dpkg-deb --field %s: %w: %s", deb, err, lastLine(errs.String()))
	}
	return out, nil
}

func readTar(r io.Reader) ([]layer.Entry, error) {
	var entries []layer.Entry
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// The program ends once all is read, padding included.
			_, err := io.Copy(io.Discard, r)
			return entries, err
		}
		if err != nil {
			return nil, err
		}
		e := layer.Entry{Path: path.Join("/", header.Name)} //nolint:gosec // a path in an image: nothing is written on this machine
		switch header.Typeflag {
		case tar.TypeReg:
			e.Mode = header.Mode & 0o777
			if e.Content, err = io.ReadAll(tr); err != nil {
				return nil, err
			}
		case tar.TypeSymlink:
			e.Link = header.Linkname
		default:
			continue
		}
		entries = append(entries, e)
	}
}
