package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// orderTimeout is how long a component may take to end and start.
const orderTimeout = 2 * time.Minute

// handler takes orders. Whoever reaches the socket is root on the machine.
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s.statuses()); err != nil {
			s.log.Error("answer", "err", err)
		}
	})
	mux.HandleFunc("POST /{order}/{component}", func(w http.ResponseWriter, r *http.Request) {
		c, err := s.find(r.PathValue("component"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		// An order is carried out to its end even if who gave it goes away: half a
		// restart would be a stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), orderTimeout)
		defer cancel()
		if err := s.order(ctx, r.PathValue("order"), c); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// order carries one order out and returns when it is done.
func (s *supervisor) order(ctx context.Context, order string, c *child) error {
	switch order {
	case "stop":
		return s.stop(ctx, c)
	case "kill":
		return s.kill(ctx, c)
	case "start":
		return s.start(ctx, c)
	case "restart":
		if err := s.stop(ctx, c); err != nil {
			return err
		}
		return s.start(ctx, c)
	}
	return fmt.Errorf("no order is called %q", order)
}

// Client speaks to a node's supervisor from the machine.
type Client struct {
	http *http.Client
}

// NewClient speaks to the supervisor of the cluster in the folder.
func NewClient(dir layout.Dir) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", dir.Control())
		},
	}}}
}

// Status tells how the components are.
func (c *Client) Status(ctx context.Context) ([]Status, error) {
	var out []Status
	body, err := c.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("the node's answer: %w", err)
	}
	return out, nil
}

// Order has one component stopped, killed, started or restarted, and returns
// when that is done: a started component is ready then.
func (c *Client) Order(ctx context.Context, order, component string) error {
	_, err := c.do(ctx, http.MethodPost, "/"+order+"/"+url.PathEscape(component))
	return err
}

func (c *Client) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the node does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("the node's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}
