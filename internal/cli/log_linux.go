package cli

import (
	"context"
	"log/slog"
	"strings"

	"github.com/smi-project/smi/internal/local"
)

// lineHandler prints log records as lines of the pod that they are about, for
// people who read a terminal: no time, and no level but in words.
type lineHandler struct {
	line   func(source, text string)
	level  slog.Level
	source string
	// group begins the names of attributes, attrs are those of every record.
	group, attrs string
}

// Enabled tells whether records of the level are printed.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle prints a record.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	level := strings.ToLower(r.Level.String())
	if r.Level == slog.LevelWarn {
		level = "warning" // as findings have it
	}
	source, words := h.source, level+": "+r.Message+h.attrs
	r.Attrs(func(a slog.Attr) bool {
		words += h.text(a)
		return true
	})
	h.line(source, words)
	return nil
}

func (h *lineHandler) text(a slog.Attr) string {
	if a.Key == "" {
		return ""
	}
	return " " + h.group + a.Key + "=" + a.Value.String()
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	for _, a := range attrs {
		if a.Key == local.PodKey {
			other.source = a.Value.String()
			continue
		}
		other.attrs += h.text(a)
	}
	return &other
}

// WithGroup returns a handler that puts a name before those of attributes.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	other := *h
	other.group += name + "."
	return &other
}
