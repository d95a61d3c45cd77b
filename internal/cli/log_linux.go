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
	group string
	attrs []slog.Attr
}

// Enabled tells whether records of the level are printed.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle prints a record.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	source, words := h.source, []string{strings.ToLower(r.Level.String()) + ": " + r.Message}
	add := func(a slog.Attr) bool {
		if a.Key == local.PodKey {
			source = a.Value.String()
		} else if a.Key != "" {
			words = append(words, h.group+a.Key+"="+a.Value.String())
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.line(source, strings.Join(words, " "))
	return nil
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.attrs = append(append([]slog.Attr{}, h.attrs...), attrs...)
	return &other
}

// WithGroup returns a handler that puts a name before those of attributes.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	other := *h
	other.group += name + "."
	return &other
}
