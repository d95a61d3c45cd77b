package cli

import (
	"strings"
	"unicode/utf8"
)

// table is text in columns.
type table []row

type row []cell

// cell is a piece of text and its colour, if it has one.
type cell struct {
	text   string
	colour colour
}

// render aligns the columns. Widths are those of the plain text, because the
// codes of a colour take no room on the screen.
func (t table) render(app *App, indent string) string {
	var widths []int
	for _, r := range t {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(c.text)))
		}
	}
	var b strings.Builder
	for _, r := range t {
		b.WriteString(indent)
		for i, c := range r {
			text := printable(c.text)
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if c.colour != "" {
				text = app.paint(c.colour, text)
			}
			b.WriteString(text)
			if i < len(r)-1 {
				b.WriteString(padding + "  ")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
