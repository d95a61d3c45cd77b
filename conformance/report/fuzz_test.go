package report

import (
	"bytes"
	"encoding/xml"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse shows that every report which is read can be written in every form,
// and comes back as it was.
func FuzzParse(f *testing.F) {
	for _, write := range []func() ([]byte, error){sample().JSON, sample().YAML} {
		text, err := write()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		for name, write := range map[string]func() ([]byte, error){"JSON": r.JSON, "YAML": r.YAML} {
			written, err := write()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			back, err := Parse(written)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, written)
			}
			if diff := cmp.Diff(r, back); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		html, err := r.HTML()
		if err != nil || bytes.Contains(bytes.ToLower(html), []byte("<script")) {
			t.Errorf("the page: %v", err)
		}
		junit, err := r.JUnit()
		if err != nil || xml.Unmarshal(junit, new(junitSuites)) != nil {
			t.Errorf("JUnit: %v\n%s", err, junit)
		}
	})
}
