package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// A folder that can no longer be listed, but for a part of it, keeps its files.
func TestAnUnreadableFolderKeepsItsFiles(t *testing.T) {
	folder := t.TempDir()
	var files []string
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(folder, name+".yaml")
		content := "{apiVersion: v1, kind: ServiceAccount, metadata: {name: " + name + "}}"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	r := newReader(Options{})
	before := assemble(r.round(found{files: files}))
	failed := []failure{{folder, &fs.PathError{Op: "open", Path: folder, Err: errors.New("permission denied")}}}
	for range 2 {
		after := assemble(r.round(found{files: files[1:2], failed: failed}))
		if len(after.Objects) != 3 || after.Objects[0] != before.Objects[1] || after.Objects[1] != before.Objects[0] || after.Objects[2] != before.Objects[2] {
			t.Errorf("objects are %v, were %v", after.Objects, before.Objects)
		}
		if len(after.Findings) != 1 || after.Findings[0].Message != folder+": cannot be read: permission denied" {
			t.Errorf("findings are %v", after.Findings)
		}
	}
}

// `smi check -f <(generate)` gives a pipe, which can be read once.
func TestAPipeIsReadOnce(t *testing.T) {
	if _, err := os.Stat("/dev/fd"); err != nil {
		return // such paths do not exist here
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if _, err := out.WriteString("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}"); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	r := newReader(Options{})
	path := "/dev/fd/" + strconv.Itoa(int(in.Fd()))
	for range 2 {
		if result := assemble(r.round(find([]string{path}, func(string) {}))); len(result.Objects) != 1 || len(result.Findings) != 0 {
			t.Errorf("objects are %v, findings %v", result.Objects, result.Findings)
		}
	}
}
