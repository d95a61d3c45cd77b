package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// text groups the findings by object.
func (r *checkResult) text(app *App) string {
	var b strings.Builder
	last := ""
	for i, f := range r.Findings {
		if title := f.title(); i == 0 || title != last {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(app.paint(bold, printable(title)) + "\n")
			last = title
		}
		fmt.Fprintf(&b, "  %s", app.severity(f.Severity))
		for _, word := range []string{f.Rule, f.Field} {
			if word != "" {
				b.WriteString(" " + printable(word))
			}
		}
		// Some messages name the field themselves.
		fmt.Fprintf(&b, ": %s\n", printable(strings.TrimPrefix(f.Message, f.Field+": ")))
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s: %s\n", count(r.Objects, "object"), r.summary())
	return b.String()
}

// title names an object and where it was written.
func (f checkFinding) title() string {
	place := f.position().String()
	switch {
	case f.Object.Kind == kindFile:
		return place
	case place == "":
		return f.Object.String()
	default:
		return fmt.Sprintf("%s (%s)", f.Object, place)
	}
}

func (r *checkResult) summary() string {
	switch {
	case len(r.Findings) == 0 && r.Objects == 0:
		return "there is nothing to check"
	case len(r.Findings) == 0:
		return "nothing is wrong"
	}
	var parts []string
	for _, c := range []struct {
		n    int
		noun string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Infos, "info"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// severityRank orders severities from good to bad.
func severityRank(s mesh.Severity) int {
	return slices.Index([]mesh.Severity{mesh.Info, mesh.Warning, mesh.Error}, s)
}

// severity writes a severity in its colour.
func (a *App) severity(s mesh.Severity) string {
	switch s {
	case mesh.Error:
		return a.paint(red, string(s))
	case mesh.Warning:
		return a.paint(yellow, string(s))
	default:
		return string(s)
	}
}
