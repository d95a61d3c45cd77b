package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Admin speaks with Envoy's admin interface at a Unix socket.
type Admin struct{ client *http.Client }

// NewAdmin makes a client of the admin interface at the path of its socket.
func NewAdmin(socket string) *Admin {
	var dialer net.Dialer
	return &Admin{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		// Envoy may be another one the next time.
		DisableKeepAlives: true,
	}}}
}

// Get returns the answer to a path with its query, such as "/config_dump?mask=x".
func (a *Admin) Get(ctx context.Context, path string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, path)
}

// Post asks Envoy to change something, such as "/logging?level=debug".
func (a *Admin) Post(ctx context.Context, path string) ([]byte, error) {
	return a.do(ctx, http.MethodPost, path)
}

// Ready returns nil when Envoy has its configuration and serves, else what it
// waits for.
func (a *Admin) Ready(ctx context.Context) error {
	_, err := a.Get(ctx, "/ready")
	return err
}

// AnnounceEnd has Envoy ask all who call the pod to close their connections, with
// every answer from now on. It goes on serving them, and new ones.
func (a *Admin) AnnounceEnd(ctx context.Context) error {
	_, err := a.Post(ctx, "/healthcheck/fail")
	return err
}

// Alive returns nil when Envoy answers, also where Ready does not because its end
// was announced.
func (a *Admin) Alive(ctx context.Context) error {
	_, err := a.Get(ctx, "/server_info")
	return err
}

// Stat returns the value of one counter or gauge.
func (a *Admin) Stat(ctx context.Context, name string) (uint64, error) {
	body, err := a.Get(ctx, "/stats?filter=^"+name+"$")
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(strings.TrimSpace(string(body)), ": ")
	if !ok {
		return 0, fmt.Errorf("Envoy has no statistic %s", name)
	}
	return strconv.ParseUint(value, 10, 64)
}

// inFlight counts what a stop would cut off: requests that are being answered,
// and connections that are not HTTP. Idle connections of HTTP clients do not
// count; a client opens another one when it needs it.
func (a *Admin) inFlight(ctx context.Context) (int64, error) {
	body, err := a.Get(ctx, "/stats?filter=downstream_(cx|rq)_active$")
	if err != nil {
		return 0, err
	}
	var requests, connections int64
	for line := range strings.Lines(string(body)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strings.Contains(name, ".worker_") || strings.Contains(name, ".admin.") {
			continue
		}
		switch {
		case strings.HasSuffix(name, ".downstream_rq_active"):
			requests += value
		case strings.HasPrefix(name, "http."):
			connections -= value
		default:
			connections += value
		}
	}
	return requests + max(0, connections), nil
}

func (a *Admin) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("Envoy's admin interface: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("Envoy's admin interface: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("Envoy's admin interface: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// AdminSocket is the path of Envoy's admin socket in an agent's directory.
func AdminSocket(dir string) string { return filepath.Join(dir, "admin.sock") }
