package debian

import (
	_ "embed" // the list of packages
	"fmt"
	"strings"
)

// listPath is where the list is, for those who must change it.
const listPath = "tools/image/internal/debian/packages.txt"

//go:embed packages.txt
var list string

// Pin says which package is used: this one and no other.
type Pin struct {
	Name, Version, Arch string
	// SHA256 is that of the package's file, in hexadecimal.
	SHA256 string
}

func (p Pin) String() string {
	return strings.Join([]string{p.Name, p.Version, p.Arch, p.SHA256}, " ")
}

// fileName is the package's name in the cache.
func (p Pin) fileName() string {
	return p.Name + "_" + p.SHA256 + "_" + p.Arch + ".deb"
}

// Pins returns the pinned packages for an architecture, such as amd64.
func Pins(arch string) ([]Pin, error) {
	_, all, err := parse(list)
	if err != nil {
		return nil, err
	}
	var pins []Pin
	for _, pin := range all {
		if pin.Arch == arch {
			pins = append(pins, pin)
		}
	}
	if len(pins) == 0 {
		return nil, fmt.Errorf("%s pins no package for %s: add the lines, and run `make image-pins`", listPath, arch)
	}
	return pins, nil
}

// parse reads a list: the comment at its head, and the pins.
func parse(text string) (head string, pins []Pin, err error) {
	for number, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") {
			head += line + "\n"
			continue
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 4 {
			return "", nil, fmt.Errorf("%s:%d: want name, version, architecture and SHA-256, got %q", listPath, number+1, line)
		}
		pins = append(pins, Pin{Name: fields[0], Version: fields[1], Arch: fields[2], SHA256: fields[3]})
	}
	return head, pins, nil
}
