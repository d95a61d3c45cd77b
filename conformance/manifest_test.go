package conformance

import (
	"bytes"
	"io/fs"
	"maps"
	"testing"
	"testing/fstest"
)

func digestOf(t *testing.T, s *Suite) string {
	t.Helper()
	about, err := s.About()
	if err != nil || len(about.Digest) != 64 || about.Version != s.Version || about.Cases != len(s.Cases) {
		t.Fatalf("%+v, %v", about, err)
	}
	return about.Digest
}

// The digest is another one as soon as anything is that decides what a case shows.
func TestDigest(t *testing.T) {
	files := func() fstest.MapFS {
		return fstest.MapFS{"one.yaml": {Data: []byte("a")}, "sub/two.yaml": {Data: []byte("b")}, "case.go": {Data: []byte("c")}, "case_test.go": {Data: []byte("d")}}
	}
	suite := func(change func(*Case, fstest.MapFS)) *Suite {
		c := &Case{ID: "AC-1-x", Title: "T", Original: "TA-1", Rules: []string{"AC-1", "AC-2"}, Features: []Feature{AccessHTTP}, APIs: []string{"v1"}}
		tree := files()
		change(c, tree)
		return &Suite{Version: "1", Cases: []*Case{c}, Manifests: tree}
	}
	same := digestOf(t, suite(func(*Case, fstest.MapFS) {}))
	if again := digestOf(t, suite(func(_ *Case, f fstest.MapFS) { f["case_test.go"].Data = []byte("other") })); again != same {
		t.Error("a test changes the digest")
	}
	seen := map[string]string{same: "nothing"}
	for what, change := range map[string]func(*Case, fstest.MapFS){
		"an id":                  func(c *Case, _ fstest.MapFS) { c.ID = "AC-1-y" },
		"a title":                func(c *Case, _ fstest.MapFS) { c.Title = "U" },
		"the original number":    func(c *Case, _ fstest.MapFS) { c.Original = "TA-2" },
		"a rule":                 func(c *Case, _ fstest.MapFS) { c.Rules = c.Rules[:1] },
		"rules drawn together":   func(c *Case, _ fstest.MapFS) { c.Rules = []string{"AC-1 AC-2"} },
		"a feature":              func(c *Case, _ fstest.MapFS) { c.Features = []Feature{GRPC} },
		"an API":                 func(c *Case, _ fstest.MapFS) { c.APIs = []string{"v2"} },
		"that it is slow":        func(c *Case, _ fstest.MapFS) { c.Slow = true },
		"a manifest":             func(_ *Case, f fstest.MapFS) { f["one.yaml"].Data = []byte("A") },
		"a manifest in a folder": func(_ *Case, f fstest.MapFS) { f["sub/two.yaml"].Data = []byte("B") },
		"what a case does":       func(_ *Case, f fstest.MapFS) { f["case.go"].Data = []byte("C") },
		"a name":                 func(_ *Case, f fstest.MapFS) { f["uno.yaml"] = f["one.yaml"]; delete(f, "one.yaml") },
		"another manifest":       func(_ *Case, f fstest.MapFS) { f["three.yaml"] = &fstest.MapFile{} },
		"what moves to the content": func(_ *Case, f fstest.MapFS) {
			f["one.yam"] = &fstest.MapFile{Data: []byte("la")}
			delete(f, "one.yaml")
		},
	} {
		got := digestOf(t, suite(change))
		if other, ok := seen[got]; ok {
			t.Errorf("%s changes as much as %s", what, other)
		}
		seen[got] = what
	}
}

// The sources of what judges are a part of the digest, and tests are not.
func TestDigestCoversTheCore(t *testing.T) {
	whole := hashed(t, core)
	files := fstest.MapFS{}
	err := fs.WalkDir(core, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			text, _ := fs.ReadFile(core, path)
			files[path] = &fstest.MapFile{Data: text}
		}
		return err
	})
	if err != nil || !bytes.Equal(hashed(t, files), whole) {
		t.Fatalf("a copy is hashed otherwise: %v", err)
	}
	for path, counts := range map[string]bool{
		"expect.go": true, "t.go": true, "during.go": true, "driver/sender.go": true, "share/share.go": true, "fixture.yaml": true,
		"manifest_test.go": false,
	} {
		changed := maps.Clone(files)
		if changed[path] == nil {
			t.Fatalf("%s is not embedded", path)
		}
		delete(changed, path)
		if bytes.Equal(hashed(t, changed), whole) == counts {
			t.Errorf("%s counts: %t, want %t", path, !counts, counts)
		}
	}
}

func hashed(t *testing.T, tree fs.FS) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := hashTree(&b, tree); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
