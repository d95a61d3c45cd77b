package file_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
)

// watched is a folder that is being watched.
type watched struct {
	t       *testing.T
	folder  string
	results chan *file.Result
	last    *file.Result
}

// watch begins to watch and waits for the first result. Without paths it watches
// the folder.
func watch(t *testing.T, files map[string]string, paths ...string) *watched {
	t.Helper()
	w := &watched{t: t, folder: t.TempDir(), results: make(chan *file.Result, 1000)}
	write(t, w.folder, files)
	if paths == nil {
		paths = []string{"."}
	}
	for i := range paths {
		paths[i] = filepath.Join(w.folder, paths[i])
	}
	w.begin(paths, file.Options{})
	w.until("the first result", func(*file.Result) bool { return true })
	return w
}

func (w *watched) begin(paths []string, opts file.Options) {
	t := w.t
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- file.Watch(ctx, paths, opts, func(r *file.Result) { w.results <- r })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Watch returned %v", err)
		}
	})
}

// until waits for a result that is as it should be.
func (w *watched) until(what string, ok func(*file.Result) bool) *file.Result {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case w.last = <-w.results:
			if ok(w.last) {
				return w.last
			}
		case <-deadline:
			w.t.Fatalf("%s did not come; the last objects were %v and findings %v", what, names(w.last.Objects), messages(w.last))
		}
	}
}

// accounts waits until there are just these ServiceAccounts.
func (w *watched) accounts(want ...string) *file.Result {
	w.t.Helper()
	return w.until("accounts "+strings.Join(want, ", "), func(r *file.Result) bool {
		var got []string
		for _, o := range r.Objects {
			got = append(got, o.GetName())
		}
		return slices.Equal(got, want)
	})
}

// finding waits until some message contains the text.
func (w *watched) finding(text string) *file.Result {
	w.t.Helper()
	return w.until("a finding with "+text, func(r *file.Result) bool { return strings.Contains(messages(r), text) })
}

func messages(r *file.Result) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Message)
	}
	return strings.Join(all, "\n")
}

func (w *watched) write(name, content string) {
	w.t.Helper()
	write(w.t, w.folder, map[string]string{name: content})
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.folder, filepath.FromSlash(name)) }

// account is a document with a ServiceAccount.
func account(name string) string {
	return "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + "}}\n"
}

// labelled is one that says which of several versions it is.
func labelled(name, version string) string {
	return "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + ", labels: {version: " + version + "}}}\n"
}

func versionOf(r *file.Result, name string) string {
	for _, o := range r.Objects {
		if o.GetName() == name {
			return o.GetLabels()["version"]
		}
	}
	return ""
}

func TestWatchFollowsAFolder(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a")})
	w.write("b.yaml", account("b"))
	w.accounts("a", "b")
	w.write("a.yaml", account("a")+account("a2"))
	w.accounts("a", "a2", "b")
	w.do(os.Remove(w.path("a.yaml")))
	w.accounts("b")
	w.do(os.Rename(w.path("b.yaml"), w.path("c.yaml")))
	w.do(os.Remove(w.path("c.yaml")))
	w.accounts()
}

func TestWatchFollowsNewFolders(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a")})
	w.write("sub/deeper/b.yaml", account("b"))
	w.accounts("a", "b")
	w.write("sub/deeper/b.yaml", account("b2"))
	w.accounts("a", "b2")
	w.do(os.Rename(w.path("sub"), w.path("moved")))
	w.write("moved/deeper/c.yaml", account("c"))
	w.accounts("a", "b2", "c")
	w.write("moved/deeper/c.yaml", account("c2"))
	w.accounts("a", "b2", "c2")
	w.do(os.RemoveAll(w.path("moved")))
	w.accounts("a")
	w.write("sub/deeper/b.yaml", account("b3"))
	w.accounts("a", "b3")
}

// Many editors write a new file and move it over the old one.
func TestWatchSurvivesReplacement(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("v0")}, "a.yaml")
	for _, version := range []string{"v1", "v2", "v3"} {
		w.write("4913", "probe")
		w.write(".a.yaml.swp", "swap")
		w.write("a.yaml~", account("backup"))
		w.write("new.tmp", account(version))
		w.do(os.Rename(w.path("new.tmp"), w.path("a.yaml")))
		w.accounts(version)
	}
}

// A mounted ConfigMap replaces all files at once by renaming a link.
func TestWatchFollowsMountedConfigMaps(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a privilege there, and no ConfigMap is mounted
	}
	w := watch(t, map[string]string{"x.txt": ""})
	w.write("..v1/a.yaml", account("a1"))
	w.do(os.Symlink("..v1", w.path("..data")))
	w.do(os.Symlink(filepath.Join("..data", "a.yaml"), w.path("a.yaml")))
	w.accounts("a1")
	w.write("..v2/a.yaml", account("a2"))
	w.do(os.Symlink("..v2", w.path("..tmp")))
	w.do(os.Rename(w.path("..tmp"), w.path("..data")))
	w.accounts("a2")
}

func TestWatchFollowsTheTargetsOfLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a privilege there
	}
	w := watch(t, map[string]string{"elsewhere/real": account("a1"), "watched/b.yaml": account("b")}, "watched")
	w.do(os.Symlink(filepath.Join("..", "elsewhere", "real"), w.path("watched/a.yaml")))
	w.accounts("a1", "b")
	w.write("elsewhere/real", account("a2"))
	w.accounts("a2", "b")
}

func TestWatchSurvivesDeletionOfWhatWasGiven(t *testing.T) {
	for _, given := range []string{"in/here", "in/here/a.yaml"} {
		t.Run(given, func(t *testing.T) {
			w := watch(t, map[string]string{"in/here/a.yaml": account("a")}, given)
			w.do(os.RemoveAll(w.path("in")))
			w.until("the finding, and no object", func(r *file.Result) bool {
				return len(r.Objects) == 0 && strings.Contains(messages(r), "does not exist")
			})
			w.write("in/here/a.yaml", account("again"))
			w.accounts("again")
			w.write("in/here/a.yaml", account("more"))
			w.accounts("more")
		})
	}
}

func TestWatchNeedsWhatIsGiven(t *testing.T) {
	err := file.Watch(context.Background(), []string{filepath.Join(t.TempDir(), "nowhere")}, file.Options{}, func(*file.Result) {
		t.Error("a result of nothing")
	})
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the error is %v", err)
	}
}

// A file that breaks counts as it was, while others change.
func TestABrokenFileKeepsWhatItSaid(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a1") + account("a2"), "b.yaml": account("b")})
	before := w.last.Objects
	for name, content := range map[string]string{
		"malformed": account("other") + "---\na: [\n",
		"UTF-16":    "\xff\xfea\x00",
		"empty":     "",
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.write("a.yaml", content)
			w.finding("Until this is mended the file counts as it was before")
			w.write("b.yaml", account("changed")+"# "+name)
			r := w.accounts("a1", "a2", "changed")
			if !slices.Equal(r.Objects[:2], before[:2]) {
				t.Error("what it said is not the same objects any more")
			}
			w.write("b.yaml", account("b"))
			w.accounts("a1", "a2", "b")
			w.write("a.yaml", account("a1")+account("a2"))
			r = w.until("no finding", func(r *file.Result) bool { return len(r.Findings) == 0 })
			if !slices.Equal(r.Objects[:2], before[:2]) {
				t.Error("mended as it was before, it gives other objects")
			}
		})
	}
	w.t = t
	w.do(os.Remove(w.path("a.yaml")))
	w.accounts("b")
}

// An object that something is wrong with counts as it was, while the rest of its
// file changes.
func TestABrokenObjectCountsAsItWas(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": labelled("a", "v1") + labelled("b", "v1")})
	w.write("a.yaml", labelled("a", "[not, text]")+labelled("b", "v2"))
	r := w.finding("The object counts as it was before")
	expect(t, "a and b", "v1 v2", versionOf(r, "a")+" "+versionOf(r, "b"))
	w.write("a.yaml", labelled("b", "v2"))
	w.accounts("b")
	w.write("a.yaml", labelled("a", "[not, text]")+labelled("b", "v2"))
	w.finding("The object is left out")
}

func TestAnObjectOfAnUnreadVersionCountsAsItWas(t *testing.T) {
	split := func(version string) string {
		return "{apiVersion: split.smi-spec.io/" + version + ", kind: TrafficSplit, metadata: {name: a}}"
	}
	w := watch(t, map[string]string{"a.yaml": split("v1alpha4")})
	before := w.last.Objects[0]
	w.write("a.yaml", split("v1alpha2"))
	if r := w.finding("write it as split.smi-spec.io/v1alpha4. The object counts as it was before"); r.Objects[0] != before {
		t.Error("it is another object")
	}
}

// Whoever compares pointers finds out what changed.
func TestWhatDidNotChangeStaysTheSame(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": labelled("a", "v1") + "---" + storeDeployment, "b.yaml": labelled("b", "v1")})
	before, workload := w.last.Objects, w.last.Workloads[0]
	w.write("a.yaml", "# A comment, and a document\n"+account("new")+labelled("a", "v2")+"---"+storeDeployment)
	after := w.accounts("new", "a", "store-0", "store-1", "b")
	same := func(a, b store.Object) bool { return a == b }
	if same(before[0], after.Objects[1]) {
		t.Error("the account that changed is the same object")
	}
	for i, o := range before[1:] {
		if !same(o, after.Objects[i+2]) {
			t.Errorf("%s did not change and is another object", o.GetName())
		}
	}
	if after.Workloads[0] != workload {
		t.Error("the workload is another one")
	}
	if at := after.Positions[after.Objects[2]]; at.Line != 7 {
		t.Errorf("the Pod's place is %v, want line 7", at)
	}
}

// Permissions mean nothing to some users, so a file that is too large stands in
// for one that cannot be read.
func TestAnUnreadableFileKeepsWhatItSaid(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a"), "b.yaml": account("b")}, "a.yaml", "b.yaml")
	large := func() error {
		f, err := os.Create(w.path("new.tmp"))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(file.MaxFileBytes + 1)
	}
	w.do(large())
	w.do(os.Rename(w.path("new.tmp"), w.path("a.yaml")))
	w.finding("which is the most that is read")
	w.write("b.yaml", account("b2"))
	w.accounts("a", "b2")
}

// A burst of changes is one result, or a few, but not one each.
func TestBurstsAreReadTogether(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a")})
	const many = 200
	for i := range many {
		w.write("b.yaml", strings.Repeat("# more\n", i)+account("b"))
	}
	w.write("c.yaml", account("c"))
	results := 0
	w.until("the end of the burst", func(r *file.Result) bool { results++; return len(r.Objects) == 3 })
	if results > many/4 {
		t.Errorf("%d results for %d changes", results, many)
	}
}

// What changes nothing is not reported: the next result is that of the change
// after it.
func TestNothingNewIsNoResult(t *testing.T) {
	w := watch(t, map[string]string{"a.yaml": account("a")})
	w.write("notes.txt", "x")
	w.write("same.tmp", account("a"))
	w.do(os.Rename(w.path("same.tmp"), w.path("a.yaml")))
	w.do(os.Chtimes(w.path("a.yaml"), time.Time{}, time.Unix(1, 0)))
	w.write("b.yaml", account("b"))
	r := <-w.results
	if len(r.Objects) != 2 {
		t.Errorf("a result without anything new: %v", names(r.Objects))
	}
}

func TestTheStandardInputIsReadOnce(t *testing.T) {
	w := &watched{t: t, folder: t.TempDir(), results: make(chan *file.Result, 1000)}
	w.write("a.yaml", account("a"))
	w.begin([]string{file.Stdin, w.folder}, file.Options{Input: strings.NewReader(account("in"))})
	first := w.accounts("in", "a")
	w.write("a.yaml", account("b"))
	second := w.accounts("in", "b")
	if first.Objects[0] != second.Objects[0] {
		t.Error("what was read once is another object")
	}
}
