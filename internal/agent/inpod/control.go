package inpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// control serves the Unix socket: GET and PUT /log-level, and PUT /drain.
func (p *Pod) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log-level", p.tellLogLevel)
	mux.HandleFunc("PUT /log-level", p.changeLogLevel)
	mux.HandleFunc("PUT /drain", p.drain)
	return mux
}

// drain announces that the pod will end.
func (p *Pod) drain(w http.ResponseWriter, r *http.Request) {
	p.draining.Store(true)
	p.options.Logger.Info("the pod is going to end: clients are asked to close their connections")
	if err := p.agent.Admin().AnnounceEnd(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

// Drain tells the agent that runs in this container that its pod is going to end:
// whoever calls the pod is asked to close his connections from now on, while the
// application still serves. Dir is the agent's directory.
func Drain(ctx context.Context, dir string) error {
	_, err := ask(ctx, dir, http.MethodPut, "/drain")
	return err
}

// controlTimeout bounds what is asked of a running agent.
const controlTimeout = 10 * time.Second

// ask asks the agent that runs in this container, and returns what it says.
func ask(ctx context.Context, dir, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return "", err
	}
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", ControlSocket(dir))
	}}}
	defer client.CloseIdleConnections()
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
		return "", errors.New("agent: " + text)
	}
	return text, nil
}
