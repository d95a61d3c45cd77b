package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/smi-project/smi/mesh"
)

// Changes come in bursts. A burst is read when it has been quiet for a moment,
// but at the latest some time after it began.
const (
	quiet  = 50 * time.Millisecond
	atMost = 250 * time.Millisecond
)

// Watch reads files and folders as Load does and hands over the result, and
// again whenever it changes, until the context ends. Then it returns nil. It
// returns an error where a path does not exist at the beginning, or where
// changes cannot be watched at all.
//
// Folders are watched with all folders below them, those included that come
// later, and so is the folder around each path, but none further up. A file that cannot be read or parsed counts as it was before, and so
// does an object that something is wrong with; a file that is gone takes its
// objects with it. What did not change is handed over as the same pointers. The
// standard input is read once.
//
// The calls come one after the other, from the goroutine that called Watch.
func Watch(ctx context.Context, paths []string, opts Options, changed func(*Result)) error {
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching files: %w", err)
	}
	defer func() { _ = notifier.Close() }() // nothing is lost with it
	w := &watcher{paths: paths, reader: newReader(opts), notifier: notifier, changed: changed, folders: map[string]os.FileInfo{}}
	if err := w.begin(); err != nil {
		return err
	}
	return w.follow(ctx)
}

type watcher struct {
	paths    []string
	reader   *reader
	notifier *fsnotify.Watcher
	changed  func(*Result)

	// folders are those that are watched, and which folder each was, since
	// another one may take its place.
	folders map[string]os.FileInfo
	// awaited are paths outside of the folders that are read whose appearance or
	// replacement changes what is read.
	awaited map[string]bool
	// inside are the folders whose files are read.
	inside map[string]bool
	// deaf says why changes of some folder cannot be seen.
	deaf error
	last *Result
}

func (w *watcher) begin() error {
	f := w.find()
	if len(f.missing) > 0 {
		return fmt.Errorf("%s: %w", strings.Join(f.missing, ", "), fs.ErrNotExist)
	}
	w.handOver(f)
	return nil
}

func (w *watcher) follow(ctx context.Context) error {
	timer := time.NewTimer(quiet)
	timer.Stop()
	var began time.Time // of the burst; zero between bursts
	due := func() {
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		timer.Reset(max(0, min(quiet, began.Add(atMost).Sub(now))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.notifier.Events:
			if w.concerns(event) {
				due()
			}
		case err := <-w.notifier.Errors:
			// Events may be lost, so anything may have changed.
			slog.Debug("watching files", "error", err)
			due()
		case <-timer.C:
			began = time.Time{}
			w.handOver(w.find())
		}
	}
}

// find lists the files and watches every folder before it is listed, so that
// nothing that comes later goes unseen.
func (w *watcher) find() found {
	w.forget()
	w.deaf, w.awaited, w.inside = nil, map[string]bool{}, map[string]bool{}
	for _, path := range w.paths {
		if path != Stdin {
			w.watchAround(absolute(path))
		}
	}
	f := find(w.paths, func(folder string) {
		folder = absolute(folder)
		w.inside[folder] = true
		w.watch(folder)
	})
	for _, file := range f.files {
		// Who writes to the target of a link does not touch the folder of the link.
		if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		if target, err := filepath.EvalSymlinks(absolute(file)); err == nil {
			w.watchAround(target)
		}
	}
	return f
}

// forget ends the watches of folders that are gone or that another folder has
// replaced. It must come before new watches: a folder that was moved would
// otherwise be watched under its old name, and not at all once that is forgotten.
func (w *watcher) forget() {
	for folder, old := range w.folders {
		if info, err := os.Stat(folder); err != nil || !os.SameFile(old, info) {
			_ = w.notifier.Remove(folder) // it may have ended with the folder
			delete(w.folders, folder)
		}
	}
}

// watchAround watches the folder in which a path is or, where that does not
// exist, the nearest one above it that does.
func (w *watcher) watchAround(path string) {
	for {
		folder, below := nearestFolder(path)
		w.awaited[path], w.awaited[below] = true, true
		w.watch(folder)
		// Had another folder come before this one was watched, nobody would tell.
		if now, _ := nearestFolder(path); now == folder {
			return
		}
	}
}

// nearestFolder returns the nearest folder above the path that exists, and what
// is below it on the way to the path.
func nearestFolder(path string) (folder, below string) {
	folder, below = filepath.Dir(path), path
	for folder != filepath.Dir(folder) {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			break
		}
		folder, below = filepath.Dir(folder), folder
	}
	return folder, below
}

// watch watches a folder, again if it is watched already: the watch of a folder
// of the same name may have ended since.
func (w *watcher) watch(folder string) {
	info, err := os.Stat(folder)
	if err != nil {
		return // gone again; whoever lists it says so
	}
	if err := w.notifier.Add(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.deaf = fmt.Errorf("%s: %w", folder, err)
	}
	w.folders[folder] = info
}

// concerns tells whether an event may change what is read.
func (w *watcher) concerns(event fsnotify.Event) bool {
	name := filepath.Clean(event.Name)
	if w.awaited[name] || w.folders[name] != nil {
		return true
	}
	base := filepath.Base(name)
	switch folder := filepath.Dir(name); {
	case w.inside[folder]:
		return !ignored(base) || versionLink(base)
	default:
		return versionLink(base) && w.awaitsIn(folder)
	}
}

// versionLink tells whether a name is one by which a mounted ConfigMap or Secret
// replaces all of its files at once.
func versionLink(name string) bool { return strings.HasPrefix(name, "..") }

func (w *watcher) awaitsIn(folder string) bool {
	for path := range w.awaited {
		if filepath.Dir(path) == folder {
			return true
		}
	}
	return false
}

// handOver reads the files and hands over what they say if that is new.
func (w *watcher) handOver(f found) {
	result := assemble(w.reader.round(f))
	if w.deaf != nil {
		result.Findings = append(result.Findings, mesh.Finding{
			Severity: mesh.Warning, Reason: "NotWatched", Object: mesh.ObjectRef{Kind: "File", Name: strings.Join(w.paths, ", ")},
			Message: "some changes may not be seen, because watching failed: " + w.deaf.Error() +
				". Where too many files or folders are watched, raise the limit of the system (on Linux fs.inotify.max_user_watches)",
		})
	}
	if w.last != nil && w.last.equal(result) {
		return
	}
	w.last = result
	w.changed(result)
}

func (r *Result) equal(o *Result) bool {
	return slices.Equal(r.Objects, o.Objects) && slices.Equal(r.Workloads, o.Workloads) &&
		slices.Equal(r.Findings, o.Findings) && maps.Equal(r.Positions, o.Positions)
}
