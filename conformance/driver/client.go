package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client gives orders to the driver of one workload.
type Client struct{ http *http.Client }

// NewClient returns a client of the driver that dial connects to.
func NewClient(dial func(ctx context.Context) (net.Conn, error)) *Client {
	return &Client{&http.Client{
		Timeout: 5 * time.Minute,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx)
		}},
	}}
}

// Close drops the connections to the driver.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send has the workload send the request, as often as it says. A report of fewer
// or more is an error.
func (c *Client) Send(ctx context.Context, r *Request) (*Report, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	report := new(Report)
	if err := c.do(ctx, http.MethodPost, "/v1/send", bytes.NewReader(body), report); err != nil {
		return nil, err
	}
	if wanted := max(r.Count, 1); report.Sent != wanted {
		return nil, fmt.Errorf("the workload's driver: it was to send %d and tells of %d", wanted, report.Sent)
	}
	return report, nil
}

// Session asks how a session's connection is.
func (c *Client) Session(ctx context.Context, name string) (Connection, error) {
	var state Connection
	return state, c.do(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(name), nil, &state)
}

// End closes a session.
func (c *Client) End(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/sessions/"+url.PathEscape(name), nil, nil)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://driver"+path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("the workload's driver: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("the workload's driver: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}
