package cases

import (
	"io/fs"
	"os"
	"testing"
)

// TestSourcesAreEmbedded sees that the digest of the suite covers what cases do.
func TestSourcesAreEmbedded(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d sources, %v", len(names), err)
	}
	for _, name := range names {
		if _, err := fs.Stat(Suite().Manifests, name); err != nil {
			t.Errorf("the suite has no %s: %v", name, err)
		}
	}
}
