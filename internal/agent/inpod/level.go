package inpod

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
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

// control serves the Unix socket: GET and PUT /log-level.
func (p *Pod) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.ToLower(p.options.Level.Level().String()))
	})
	mux.HandleFunc("PUT /log-level", func(w http.ResponseWriter, r *http.Request) {
		level, err := ParseLevel(r.URL.Query().Get("level"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.options.Level.Set(level)
		p.options.Logger.Info("log level changed", "level", level.String())
		if _, err := p.agent.Admin().Post(r.Context(), "/logging?level="+envoyLevel(level)); err != nil {
			http.Error(w, "the agent's level is changed, Envoy's not: "+err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, strings.ToLower(level.String()))
	})
	return mux
}

// controlTimeout bounds what is asked of a running agent.
const controlTimeout = 10 * time.Second

// LogLevel asks the agent that runs in this container for its log level, and
// changes it first unless level is empty. Dir is the agent's directory.
func LogLevel(ctx context.Context, dir, level string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	method, query := http.MethodGet, ""
	if level != "" {
		method, query = http.MethodPut, "?level="+url.QueryEscape(level)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://agent/log-level"+query, nil)
	if err != nil {
		return "", err
	}
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", ControlSocket(dir))
	}}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("no agent answers in this container: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("agent: %s", text)
	}
	return text, nil
}
