package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

const (
	dirMode    = 0o700
	socketMode = 0o600
	// maxSocketPath is what the kernel takes for the path of a Unix socket, its
	// final zero left out.
	maxSocketPath = 107
)

func checkSocketPath(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("Unix socket %q: an absolute path is needed", path)
	}
	if len(path) > maxSocketPath {
		return fmt.Errorf("Unix socket %s: the path is %d bytes long, at most %d work; choose a shorter directory", path, len(path), maxSocketPath)
	}
	return nil
}

// prepareDir makes the directory that holds the sockets, for this user alone.
// One that exists must be this user's own and no symbolic link: whoever can
// write there could put a socket of his own in the place of ours.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("agent directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("agent directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("agent directory %s: it is not a directory", dir)
	}
	if !ownedBySelf(info) {
		return fmt.Errorf("agent directory %s: it belongs to another user; choose one of your own", dir)
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return fmt.Errorf("agent directory: %w", err)
	}
	return nil
}

// listen opens the agent's socket in a prepared directory, in the place of one
// that an earlier run has left.
func listen(path string) (net.Listener, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("agent socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("agent socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("agent socket: %w", err)
	}
	return l, nil
}

// writeFile replaces a file in one step, readable by this user alone.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, socketMode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
