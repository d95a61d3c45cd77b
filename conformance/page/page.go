// Package page is what all HTML pages of the conformance suite share: a frame
// with their style, in which every value is escaped by its context. Pages are
// one file each, load nothing, and are read without a script; a policy in the
// page keeps browsers from anything else.
//
// It knows no report and no matrix: what a page says is its owner's template.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"
)

//go:embed frame.html.tmpl
var frame string

// New returns a template of the frame around content, which defines "title" and
// "body". A mistake in content panics, since it belongs to the program.
func New(content string) *template.Template {
	t := template.New("frame").Funcs(template.FuncMap{
		"seconds": Seconds, "day": day, "moment": moment, "percent": percent, "rule": RuleURL, "count": count,
	})
	return template.Must(template.Must(t.Parse(frame)).Parse(content))
}

// Render is the page of t about data.
func Render(t *template.Template, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	return bytes.Map(Visible, b.Bytes()), nil
}

// Visible replaces what commands a reader's eye instead of being read: control
// characters, by their pictures, and marks and changes of the direction of text,
// and breaks of lines and paragraphs, by the replacement character. Line feeds and
// tabs stay.
func Visible(r rune) rune {
	switch {
	case r == '\n', r == '\t':
		return r
	case r < ' ':
		return 0x2400 + r
	case r == 0x7f:
		return 0x2421
	case r >= 0x80 && r < 0xa0, r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return 0xfffd
	}
	return r
}

// Seconds tells a duration in seconds as people read it: "240 ms", "1.2 s",
// "3 min 5 s".
func Seconds(s float64) string {
	switch {
	case s < 0.9995:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	default:
		whole := int(s + 0.5)
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	}
}

func day(t time.Time) string    { return t.UTC().Format("2 January 2006") }
func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// percent is the part of a whole in percent, for the width of a bar.
func percent(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// RuleURL is where a rule such as AC-9 is written. The page of the rules names
// its headings by their texts, so browsers are asked to look for the number.
func RuleURL(rule string) string {
	number := strings.ReplaceAll(rule, "-", "%2D")
	return "https://github.com/smi-project/smi/blob/main/docs/semantics.md#:~:text=" + number + ":"
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
