package matrix

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/smi-project/smi/conformance/page"
	"github.com/smi-project/smi/conformance/report"
)

// JSON returns the matrix with its history as indented JSON.
func (m *Matrix) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// Words are a cell in a few words, such as "full, 12 passed" or, where not all
// cases of the feature were run, "partial, 1 of 4 passed".
func (c Cell) Words() string {
	if c.Capability == report.None || c.Capability == "" {
		return string(report.None)
	}
	words := []string{string(c.Capability)}
	switch {
	case c.Passed+c.Failed == 0 && c.NotClaimed > 0:
		words = append(words, fmt.Sprintf("0 of %d tested", c.NotClaimed))
	case c.Passed+c.Failed == 0:
		words = append(words, "not tested")
	case c.Passed > 0 || c.NotClaimed > 0:
		words = append(words, c.Share()+" passed")
	}
	if c.Failed > 0 {
		words = append(words, fmt.Sprintf("%d failed", c.Failed))
	}
	if c.Passed+c.Failed > 0 && c.NotClaimed > 0 {
		words = append(words, fmt.Sprintf("%d not claimed", c.NotClaimed))
	}
	return strings.Join(words, ", ")
}

// Share is how many cases passed, and of how many where some were not run.
func (c Cell) Share() string {
	if c.NotClaimed == 0 {
		return strconv.Itoa(c.Passed)
	}
	return fmt.Sprintf("%d of %d", c.Passed, c.Passed+c.Failed+c.NotClaimed)
}

// Markdown returns the newest runs as a table, and below it what was left out.
func (m *Matrix) Markdown() string {
	var b strings.Builder
	b.WriteString("# SMI conformance\n\n")
	if len(m.Meshes) == 0 {
		b.WriteString("There is no verified report.\n")
	} else {
		m.table(&b)
	}
	if len(m.LeftOut) > 0 {
		b.WriteString("\n## Left out\n\nThese do not count.\n\n")
		for _, l := range m.LeftOut {
			fmt.Fprintf(&b, "- %s: %s\n", plain(l.File), plain(l.Reason))
		}
	}
	if len(m.PassedOver) > 0 {
		b.WriteString("\n## Passed over\n\nThese are matrices, and no reports.\n\n")
		for _, file := range m.PassedOver {
			fmt.Fprintf(&b, "- %s\n", plain(file))
		}
	}
	return b.String()
}

func (m *Matrix) table(b *strings.Builder) {
	row := func(head string, cell func(*Mesh) string) {
		b.WriteString("| " + head + " |")
		for i := range m.Meshes {
			b.WriteString(" " + cell(&m.Meshes[i]) + " |")
		}
		b.WriteByte('\n')
	}
	row("", func(r *Mesh) string { return plain(strings.TrimSpace(r.Mesh.Name + " " + r.Mesh.Version)) })
	row("---", func(*Mesh) string { return "---" })
	for _, f := range m.Features {
		row(plain(f.Title), func(r *Mesh) string {
			c := r.Features[f.Name]
			if c.Failed > 0 {
				return "**" + c.Words() + "**"
			}
			return c.Words()
		})
	}
	row("Cases", func(r *Mesh) string { return r.Summary.String() })
	row("Ran on", func(r *Mesh) string { return plain(r.Platform) })
	row("Run by", func(r *Mesh) string { return plain(r.By) })
	row("When", func(r *Mesh) string { return r.Started.Format("2006-01-02") })
	row("Earlier runs", func(r *Mesh) string { return r.Before() })
	row("Keys", func(r *Mesh) string {
		short := make([]string, len(r.Signers))
		for i, id := range r.Signers {
			short[i] = fmt.Sprintf("%.8s", id)
		}
		return strings.Join(short, ", ")
	})
	row("Suite", func(r *Mesh) string {
		text := plain(fmt.Sprintf("%s, digest %.12s", r.Suite.Version, r.Suite.Digest))
		if r.OtherSuite {
			text += ", **another suite than the reader's**"
		}
		return text
	})
}

// Before counts the earlier runs, and marks those in which cases failed.
func (m *Mesh) Before() string {
	text := strconv.Itoa(len(m.History))
	if n := m.FailedBefore(); n > 0 {
		text += fmt.Sprintf(", **cases failed in %d**", n)
	}
	return text
}

// plain escapes what Markdown, or HTML in it, would take for more than text. What
// hosts of Markdown find in text itself, such as addresses and names of users, is
// broken up by empty comments, which nobody sees.
func plain(text string) string {
	var b strings.Builder
	for _, r := range strings.Map(page.Visible, text) {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@' || r == '#':
			b.WriteRune(r)
			b.WriteString("<!-- -->")
		case strings.ContainsRune("\\`*_[]|~!$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return bareLink.ReplaceAllString(b.String(), "$0<!-- -->")
}

// bareLink is where what becomes a link by itself begins, or its scheme ends.
var bareLink = regexp.MustCompile(`(?i)www|:/`)

//go:embed matrix.html.tmpl
var matrixTemplate string

var htmlPage = page.New(matrixTemplate)

// HTML returns the newest runs as a page for people. Links to reports begin with
// base, the path from the page to the folder of the reports.
func (m *Matrix) HTML(base string) ([]byte, error) {
	return page.Render(htmlPage, htmlView{m, base})
}

type htmlView struct {
	*Matrix
	base string
}

// Link leads from the page to a report. Every part of the path is a part of the
// link, whatever its name is.
func (v htmlView) Link(file string) string {
	parts := strings.Split(path.Join(v.base, file), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	link := strings.Join(parts, "/")
	if parts[0] != "" && parts[0] != ".." {
		link = "./" + link
	}
	return link
}

// State is the style of a cell. A claim alone is not shown as though it were kept.
func (c Cell) State() string {
	switch {
	case c.Failed > 0:
		return "failing"
	case c.Capability == "" || c.Capability == report.None:
		return string(report.None)
	case c.Passed == 0:
		return "untested"
	default:
		return string(c.Capability)
	}
}
