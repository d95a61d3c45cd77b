package inpod

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// envoyLevel is the level of Envoy's log that goes with the agent's. Envoy calls
// much information that is of no use where nothing is wrong.
func envoyLevel(level slog.Level) string {
	switch {
	case level <= slog.LevelDebug:
		return "debug"
	case level <= slog.LevelWarn:
		return "warning"
	}
	return "error"
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(text string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(text, level.String()) {
			return level, nil
		}
	}
	return 0, fmt.Errorf("log level %q: write debug, info, warn or error", text)
}

func (p *Pod) tellLogLevel(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, strings.ToLower(p.options.Level.Level().String()))
}

func (p *Pod) changeLogLevel(w http.ResponseWriter, r *http.Request) {
	level, err := ParseLevel(r.URL.Query().Get("level"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.options.Level.Set(level)
	p.options.Logger.Info("log level changed", "level", level.String())
	if err := p.agent.SetLogLevel(r.Context(), envoyLevel(level)); err != nil {
		http.Error(w, "the agent's level is changed, Envoy's not: "+err.Error(), http.StatusBadGateway)
		return
	}
	p.tellLogLevel(w, r)
}

// LogLevel asks the agent that runs in this container for its log level, and
// changes it first unless level is empty. Dir is the agent's directory.
func LogLevel(ctx context.Context, dir, level string) (string, error) {
	if level == "" {
		return ask(ctx, dir, http.MethodGet, "/log-level")
	}
	return ask(ctx, dir, http.MethodPut, "/log-level?level="+url.QueryEscape(level))
}
