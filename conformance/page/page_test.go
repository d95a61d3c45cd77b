package page

import (
	"strings"
	"testing"
)

func TestPagesLoadNothing(t *testing.T) {
	text, err := Render(New(`{{define "title"}}T{{end}}{{define "body"}}<p>{{.}}</p>{{end}}`), "<a\x1b\u202eb>")
	if err != nil {
		t.Fatal(err)
	}
	html := string(text)
	if !strings.Contains(html, "&lt;a\u241b\ufffdb&gt;") {
		t.Error("what commands a terminal, or turns the text around, is still there")
	}
	for _, loads := range []string{"<link", "<script", "<img", "src=", "url(", "@import", "http://"} {
		if strings.Contains(html, loads) {
			t.Errorf("the page has %s", loads)
		}
	}
	if !strings.Contains(html, "default-src 'none'") || !strings.Contains(html, "prefers-color-scheme: dark") {
		t.Error("the policy or the dark style is not there")
	}
}

// What turns text around, or hides that it is turned, is not left in it.
func TestVisible(t *testing.T) {
	for _, r := range "\u0000\r\u001b\u007f\u0085\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069" {
		if Visible(r) == r {
			t.Errorf("%U stays", r)
		}
	}
	for _, r := range "\n\t aé\u0627\u200d世🙂" {
		if Visible(r) != r {
			t.Errorf("%U becomes %U", r, Visible(r))
		}
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{0: "0 ms", 0.2404: "240 ms", 0.9994: "999 ms", 0.9996: "1.0 s", 59.94: "59.9 s", 185: "3 min 5 s", 119.6: "2 min 0 s"} {
		if got := Seconds(s); got != want {
			t.Errorf("%v: got %q, want %q", s, got, want)
		}
	}
}
