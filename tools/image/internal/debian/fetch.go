package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CacheDir returns the folder for fetched packages: it lies beside the tools that
// tools/envoy.sh keeps.
func CacheDir() (string, error) {
	if tools := os.Getenv("SMI_TOOLS_DIR"); tools != "" {
		return filepath.Join(tools, "packages"), nil
	}
	caches, err := os.UserCacheDir()
	return filepath.Join(caches, "smi", "tools", "packages"), err
}

// Fetch returns the paths of the packages' files, in their order. Those that the
// folder cache does not hold yet are fetched into it. The pins are all for one
// architecture. Whatever is returned has the SHA-256 that is pinned.
func Fetch(ctx context.Context, cache string, pins []Pin) ([]string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // packages are public
		return nil, err
	}
	paths := make([]string, len(pins))
	var missing []Pin
	for i, pin := range pins {
		paths[i] = filepath.Join(cache, pin.fileName())
		sum, err := sha256File(paths[i])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if sum != pin.SHA256 {
			missing = append(missing, pin)
		}
	}
	if len(missing) == 0 {
		return paths, nil
	}
	return paths, withApt(ctx, missing[0].Arch, func(a *apt) error {
		for _, pin := range missing {
			if err := fetch(ctx, a, pin, cache); err != nil {
				return err
			}
		}
		return nil
	})
}

func fetch(ctx context.Context, a *apt, pin Pin, cache string) error {
	path, err := a.download(ctx, pin.Name, pin.Version)
	if err != nil {
		offered, unknown := a.offered(ctx, pin.Name)
		if unknown == nil && offered != pin.Version {
			return fmt.Errorf("%s pins %s %s for %s, and Debian's packages offer %s here: run `make image-pins`, read the difference and commit it", listPath, pin.Name, pin.Version, pin.Arch, offered)
		}
		return err
	}
	sum, err := sha256File(path)
	if err != nil {
		return err
	}
	if sum != pin.SHA256 {
		return fmt.Errorf("%s %s for %s has the SHA-256 %s, and %s pins %s: do not use it", pin.Name, pin.Version, pin.Arch, sum, listPath, pin.SHA256)
	}
	return place(path, filepath.Join(cache, pin.fileName()))
}

// place copies a file in one step, as others may use the same cache now.
func place(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(to), ".fetch-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // renamed where all went well
	_, err = temp.Write(content)
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), to)
}

// Renew returns the text of the list of pins with the versions that are offered
// now. It fetches every package to know its SHA-256.
func Renew(ctx context.Context) (string, error) { return renewed(ctx, list) }

func renewed(ctx context.Context, text string) (string, error) {
	head, pins, err := parse(text)
	if err != nil {
		return "", err
	}
	current := map[Pin]Pin{}
	arches := map[string][]Pin{}
	for _, pin := range pins {
		arches[pin.Arch] = append(arches[pin.Arch], pin)
	}
	for arch, pins := range arches {
		err := withApt(ctx, arch, func(a *apt) error {
			for _, pin := range pins {
				now, err := renew(ctx, a, pin)
				if err != nil {
					return err
				}
				current[pin] = now
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	lines := make([]string, 0, len(pins))
	for _, pin := range pins {
		lines = append(lines, current[pin].String())
	}
	slices.Sort(lines)
	return head + strings.Join(lines, "\n") + "\n", nil
}

func renew(ctx context.Context, a *apt, pin Pin) (Pin, error) {
	var err error
	if pin.Version, err = a.offered(ctx, pin.Name); err != nil {
		return Pin{}, err
	}
	path, err := a.download(ctx, pin.Name, pin.Version)
	if err != nil {
		return Pin{}, err
	}
	pin.SHA256, err = sha256File(path)
	return pin, err
}

// withApt calls do with a private state of apt's, which is removed afterwards.
func withApt(ctx context.Context, arch string, do func(*apt) error) error {
	dir, err := os.MkdirTemp("", "smi-apt-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing of it is needed any more
	a, err := newApt(ctx, arch, dir)
	if err != nil {
		return err
	}
	return do(a)
}

func sha256File(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
