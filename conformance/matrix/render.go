package matrix

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/smi-project/smi/conformance/page"
	"github.com/smi-project/smi/conformance/report"
)

// JSON returns the matrix with its history as indented JSON.
func (m *Matrix) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// Words are a cell in a few words, such as "full, 12 passed".
func (c Cell) Words() string {
	if c.Capability == report.None || c.Capability == "" {
		return string(report.None)
	}
	text := string(c.Capability)
	switch {
	case c.Passed+c.Failed == 0:
		return text + ", not tested"
	case c.Passed > 0:
		text += fmt.Sprintf(", %d passed", c.Passed)
	}
	if c.Failed > 0 {
		text += fmt.Sprintf(", %d failed", c.Failed)
	}
	return text
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
	return b.String()
}

func (m *Matrix) table(b *strings.Builder) {
	row := func(head string, cell func(*Run) string) {
		b.WriteString("| " + head + " |")
		for i := range m.Meshes {
			b.WriteString(" " + cell(&m.Meshes[i].Run) + " |")
		}
		b.WriteByte('\n')
	}
	row("", func(r *Run) string { return plain(strings.TrimSpace(r.Mesh.Name + " " + r.Mesh.Version)) })
	row("---", func(*Run) string { return "---" })
	for _, f := range m.Features {
		row(plain(f.Title), func(r *Run) string {
			c := r.Features[f.Name]
			if c.Failed > 0 {
				return "**" + c.Words() + "**"
			}
			return c.Words()
		})
	}
	row("Cases", func(r *Run) string { return r.Summary.String() })
	row("Ran on", func(r *Run) string { return plain(r.Platform) })
	row("Run by", func(r *Run) string { return plain(r.By) })
	row("When", func(r *Run) string { return r.Started.Format("2006-01-02") })
	row("Suite", func(r *Run) string { return plain(r.Suite.Version) })
}

// plain escapes what Markdown, or HTML in it, would take for more than text.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_[]|~!", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

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

// Link leads from the page to a report.
func (v htmlView) Link(file string) string { return path.Join(v.base, file) }

// State is the style of a cell.
func (c Cell) State() string {
	switch {
	case c.Failed > 0:
		return "failing"
	case c.Capability == "":
		return string(report.None)
	default:
		return string(c.Capability)
	}
}
