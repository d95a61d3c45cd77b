package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Stdin is the path that means the standard input.
const Stdin = "-"

// found is what lies behind the paths that were given.
type found struct {
	// files are in the order of the paths, and within a folder sorted.
	files []string
	// failed are folders that could not be read.
	failed []failure
	// missing are given paths where nothing is.
	missing []string
}

type failure struct {
	folder string
	err    error
}

// find lists the files behind the paths. It calls enter before it reads a
// folder.
func find(paths []string, enter func(folder string)) found {
	f := found{}
	seen := map[string]bool{}
	add := func(path string) {
		if key := absolute(path); !seen[key] {
			seen[key] = true
			f.files = append(f.files, path)
		}
	}
	for _, path := range paths {
		if path == Stdin {
			add(path)
			continue
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.missing = append(f.missing, path)
		case err == nil && info.IsDir():
			f.folder(filepath.Clean(path), enter, add)
		default: // whoever reads it learns what is wrong
			add(filepath.Clean(path))
		}
	}
	return f
}

// folder adds the files of a folder and of those in it. Links to files are
// followed, as mounted ConfigMaps consist of them; links to folders are not, as
// they may lead in circles.
func (f *found) folder(path string, enter func(string), add func(string)) {
	enter(path)
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.failed = append(f.failed, failure{path, err})
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case ignored(e.Name()):
		case e.IsDir():
			f.folder(name, enter, add)
		case isManifest(e.Name()) && isRegular(name):
			add(name)
		}
	}
}

// isRegular tells whether the path leads to a file. What vanished meanwhile does
// not, and reading a pipe would wait for somebody who writes to it.
func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// ignored tells whether a file or folder inside a folder is passed over: hidden
// ones, among which a mounted ConfigMap keeps its versions, and what editors put
// beside the file that they are writing.
func ignored(name string) bool {
	switch {
	case strings.HasPrefix(name, "."),
		strings.HasSuffix(name, "~"),
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"),
		name == "4913":
		return true
	}
	return slices.Contains([]string{".swp", ".swx", ".tmp"}, strings.ToLower(filepath.Ext(name)))
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

func absolute(path string) string {
	if path == Stdin {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

var errTooLarge = fmt.Errorf("has more than %d bytes, which is the most that is read", MaxFileBytes)

// readFile returns the content of a file, and whether it can be read again.
func readFile(path string) (data []byte, again bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, true, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, true, err
	}
	if info.Size() > MaxFileBytes {
		return nil, true, errTooLarge
	}
	data, err = readAll(f)
	return data, info.Mode().IsRegular(), err
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if len(data) > MaxFileBytes {
		return nil, errTooLarge
	}
	return data, err
}
