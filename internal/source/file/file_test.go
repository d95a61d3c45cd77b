package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
)

// write puts files into a folder, making folders as needed.
func write(t testing.TB, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// load reads one document or several, as the standard input.
func load(t testing.TB, yaml string, opts file.Options) *file.Result {
	t.Helper()
	opts.Input = strings.NewReader(yaml)
	result, err := file.Load([]string{file.Stdin}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// loadClean reads what nothing is wrong with.
func loadClean(t testing.TB, yaml string, opts file.Options) *file.Result {
	t.Helper()
	result := load(t, yaml, opts)
	for _, f := range result.Findings {
		t.Errorf("unexpected finding: %s", f.Message)
	}
	return result
}

// names are "Type namespace/name" of every object, in order.
func names(objects []store.Object) []string {
	var list []string
	for _, o := range objects {
		typeName := strings.TrimPrefix(typeOf(o), "*")
		list = append(list, typeName+" "+o.GetNamespace()+"/"+o.GetName())
	}
	return list
}

func expect(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// only returns the single object of a type.
func only[T store.Object](t testing.TB, r *file.Result) T {
	t.Helper()
	var found []T
	for _, o := range r.Objects {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1; all are %v", len(found), *new(T), names(r.Objects))
	}
	return found[0]
}
