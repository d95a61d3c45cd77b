package closure

import (
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/smi-project/smi/tools/image/internal/layer"
)

// platform is what the files of one architecture have in common.
type platform struct {
	machine elf.Machine
	// folders are where Debian's loader looks for libraries, in its order.
	folders []string
}

var platforms = map[string]platform{
	"amd64": {elf.EM_X86_64, folders("x86_64-linux-gnu")},
	"arm64": {elf.EM_AARCH64, folders("aarch64-linux-gnu")},
}

func folders(triplet string) []string {
	return []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib", "/usr/lib"}
}

// Libraries returns those of the offered files that the programs need to run on
// the architecture, sorted by path: loaders, libraries, and the links that lead
// to them. It is an error if one is not offered, if it lacks a version of a
// symbol that is asked of it, or if any is made for another architecture.
func Libraries(arch string, programs, offered []layer.Entry) ([]layer.Entry, error) {
	p, ok := platforms[arch]
	if !ok {
		return nil, fmt.Errorf("architecture %q: known are %v", arch, slices.Sorted(maps.Keys(platforms)))
	}
	s := &search{platform: p, arch: arch, offered: map[string]layer.Entry{}, taken: map[string]layer.Entry{}}
	for _, e := range offered {
		s.offered[e.Path] = e
	}
	for _, program := range programs {
		if _, err := s.visit(program); err != nil {
			return nil, err
		}
	}
	taken := make([]layer.Entry, 0, len(s.taken))
	for _, at := range slices.Sorted(maps.Keys(s.taken)) {
		taken = append(taken, s.taken[at])
	}
	return taken, nil
}

// search is one walk from the programs down to all that they need.
type search struct {
	platform
	arch    string
	offered map[string]layer.Entry
	taken   map[string]layer.Entry
}

// symbols are the versions that a file asks of a library, by its name.
type symbols struct {
	defined map[string]bool
	loader  string
	needed  []string
	asked   map[string][]string
}

// visit takes all that an ELF file needs, and returns the versions of symbols
// that the file itself defines.
func (s *search) visit(e layer.Entry) (map[string]bool, error) {
	file, err := s.read(e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Path, err)
	}
	if file.loader != "" {
		if _, err := s.take(file.loader); err != nil {
			return nil, fmt.Errorf("%s needs the loader %s: %w", e.Path, file.loader, err)
		}
	}
	for _, name := range file.needed {
		at, err := s.locate(name)
		if err != nil {
			return nil, fmt.Errorf("%s needs %s: %w", e.Path, name, err)
		}
		defined, err := s.take(at)
		if err != nil {
			return nil, fmt.Errorf("%s needs %s: %w", e.Path, name, err)
		}
		for _, version := range file.asked[name] {
			if !defined[version] {
				return nil, fmt.Errorf("%s needs %s of %s, and the packages offer an %s without it: take a newer release of Debian", e.Path, version, name, at)
			}
		}
	}
	return file.defined, nil
}

// maxLinks is how many links may lead from one to the next.
const maxLinks = 8

// take takes the offered file at a path, the links that lead to it, and all that
// it needs. It returns the versions of symbols that the file defines.
func (s *search) take(at string) (map[string]bool, error) {
	for range maxLinks {
		e, ok := s.offered[at]
		if !ok {
			return nil, fmt.Errorf("no package offers %s: add the one that does to the pinned packages", at)
		}
		_, seen := s.taken[at]
		s.taken[at] = e
		if e.Link == "" {
			if seen {
				file, err := s.read(e)
				return file.defined, err
			}
			return s.visit(e)
		}
		if at = e.Link; !path.IsAbs(at) {
			at = path.Join(path.Dir(e.Path), e.Link)
		}
	}
	return nil, fmt.Errorf("%s: too many links", at)
}

func (s *search) locate(name string) (string, error) {
	for _, folder := range s.folders {
		if _, ok := s.offered[path.Join(folder, name)]; ok {
			return path.Join(folder, name), nil
		}
	}
	return "", errors.New("no package offers it: add the one that does to the pinned packages")
}

// read reads what an ELF file says about itself.
func (s *search) read(e layer.Entry) (symbols, error) {
	content, _, err := e.Open()
	if err != nil {
		return symbols{}, err
	}
	defer content.Close()
	file, err := elf.NewFile(content)
	if err != nil {
		return symbols{}, err
	}
	if file.Machine != s.machine {
		return symbols{}, fmt.Errorf("is made for %s and not for %s", file.Machine, s.arch)
	}
	loader, err := interpreter(file)
	if err != nil {
		return symbols{}, err
	}
	read := symbols{loader: loader, defined: map[string]bool{}, asked: map[string][]string{}}
	if file.SectionByType(elf.SHT_DYNAMIC) == nil {
		return read, nil
	}
	if read.needed, err = file.ImportedLibraries(); err != nil {
		return symbols{}, err
	}
	return read, read.versions(file)
}

// versions reads which versions of symbols a file defines and which it asks for.
func (r *symbols) versions(file *elf.File) error {
	defined, err := file.DynamicVersions()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return err
	}
	for _, version := range defined {
		r.defined[version.Name] = true
	}
	asked, err := file.DynamicVersionNeeds()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return err
	}
	for _, library := range asked {
		for _, version := range library.Needs {
			r.asked[library.Name] = append(r.asked[library.Name], version.Dep)
		}
	}
	return nil
}

// maxLoaderPath bounds the path of a loader, in bytes.
const maxLoaderPath = 4096

// interpreter returns the path of the loader that a program asks for, or "".
func interpreter(file *elf.File) (string, error) {
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		if segment.Filesz < 2 || segment.Filesz > maxLoaderPath {
			return "", fmt.Errorf("the path of its loader has %d bytes", segment.Filesz)
		}
		raw := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(raw, 0); err != nil {
			return "", err
		}
		return string(raw[:len(raw)-1]), nil
	}
	return "", nil
}
