package project

import (
	"context"
	"slices"

	"github.com/smi-project/smi/tools/image/internal/closure"
	"github.com/smi-project/smi/tools/image/internal/debian"
	"github.com/smi-project/smi/tools/image/internal/layer"
)

// wanted are files that no program asks for. They say which release of Debian
// the libraries are of, without which a scanner knows no vulnerability of them.
var wanted = []string{"/etc/os-release", "/usr/lib/os-release"}

// libraries returns what a program needs of the pinned packages. With it comes,
// of every package that something is taken of, what a scanner looks for and the
// terms under which it is distributed.
func libraries(ctx context.Context, cache, arch string, program layer.Entry) ([]layer.Entry, error) {
	pins, err := debian.Pins(arch)
	if err != nil {
		return nil, err
	}
	paths, err := debian.Fetch(ctx, cache, pins)
	if err != nil {
		return nil, err
	}
	packages := make([][]layer.Entry, len(pins))
	for i, path := range paths {
		if packages[i], err = debian.Open(ctx, path); err != nil {
			return nil, err
		}
	}
	taken, err := closure.Libraries(arch, []layer.Entry{program}, slices.Concat(packages...))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, e := range taken {
		used[e.Path] = true
	}
	for _, path := range wanted {
		used[path] = true
	}
	var all []layer.Entry
	for i, pin := range pins {
		files, err := pick(ctx, pin.Name, paths[i], packages[i], used)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

// pick returns the used files of a package, and its papers if there are any.
func pick(ctx context.Context, name, deb string, files []layer.Entry, used map[string]bool) ([]layer.Entry, error) {
	var picked, terms []layer.Entry
	for _, file := range files {
		switch {
		case used[file.Path]:
			picked = append(picked, file)
		case file.Path == "/usr/share/doc/"+name+"/copyright":
			terms = append(terms, file)
		}
	}
	if len(picked) == 0 {
		return nil, nil
	}
	control, err := debian.Control(ctx, deb)
	if err != nil {
		return nil, err
	}
	status := layer.Entry{Path: "/var/lib/dpkg/status.d/" + name, Mode: 0o644, Content: control}
	return append(append(picked, terms...), status), nil
}
