package layer

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Entry is one file, folder or symbolic link of a layer. Exactly one of Source,
// Content, Link and Dir says which.
type Entry struct {
	// Path is absolute and clean: /usr/bin/smi.
	Path string
	// Mode holds permission bits and the sticky bit as a chmod command takes
	// them: 0o755, 0o1777. A link has none.
	Mode int64
	// UID owns the entry, and so does the group of the same number.
	UID int

	// Source is the path of the file on the machine that builds.
	Source string
	// Content is the content of a file that is on no disk.
	Content []byte
	// Link is what a symbolic link points at.
	Link string
	// Dir is true for a folder. The folders above an entry need no entry of
	// their own; they belong to root and have the mode 0755.
	Dir bool
}

// modeBits are those that Mode may have. Set-user-ID and set-group-ID have no
// place in these images.
const modeBits = int64(fs.ModePerm) | 0o1000

func (e Entry) check() error {
	if e.Path == "/" || !path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path {
		return fmt.Errorf("path %q in the image: write an absolute path without . or .. and without a slash at the end", e.Path)
	}
	kinds := 0
	for _, is := range []bool{e.Source != "", e.Content != nil, e.Link != "", e.Dir} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("%s: an entry is one of a file, a content, a link and a folder, and this one is %d of them", e.Path, kinds)
	}
	if e.Mode&^modeBits != 0 {
		return fmt.Errorf("%s: mode %#o: only permission bits and the sticky bit are allowed", e.Path, e.Mode)
	}
	if e.UID < 0 {
		return fmt.Errorf("%s: user id %d is negative", e.Path, e.UID)
	}
	return nil
}

func (e Entry) kind() byte {
	switch {
	case e.Dir:
		return tar.TypeDir
	case e.Link != "":
		return tar.TypeSymlink
	default:
		return tar.TypeReg
	}
}

// withFolders returns the entries sorted by path, with the folders above them.
// Two entries of one path, or a file that is also a folder, are an error.
func withFolders(entries []Entry) ([]Entry, error) {
	byPath := map[string]Entry{}
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
		if _, twice := byPath[e.Path]; twice {
			return nil, fmt.Errorf("%s: is given twice", e.Path)
		}
		byPath[e.Path] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			above, ok := byPath[dir]
			if ok && !above.Dir {
				return nil, fmt.Errorf("%s: lies under %s, which is no folder", e.Path, dir)
			}
			if !ok {
				byPath[dir] = Entry{Path: dir, Mode: 0o755, Dir: true}
			}
		}
	}
	sorted := make([]Entry, 0, len(byPath))
	for _, e := range byPath {
		sorted = append(sorted, e)
	}
	// A folder comes before what is in it, as its path is a prefix of theirs.
	slices.SortFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return sorted, nil
}

// name is the entry's path as a tar archive has it.
func (e Entry) name() string {
	name := strings.TrimPrefix(e.Path, "/")
	if e.Dir {
		name += "/"
	}
	return name
}
