package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/smi-project/smi/conformance/driver"
)

// newSender returns what sends requests in this process's name, reaching others
// as the caller does.
func newSender(getenv func(string) string) *driver.Sender {
	calls := newCaller(getenv)
	sender := &driver.Sender{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "tcp" {
			return calls.dialer.dial(ctx, address)
		}
		return calls.dialer.DialContext(ctx, network, address)
	}}
	if proxy, err := url.Parse(firstOf(getenv("HTTP_PROXY"), getenv("http_proxy"))); err == nil {
		sender.Proxy = proxy.Host
	}
	return sender
}

// serveControl takes orders at the address until the context ends.
func serveControl(ctx context.Context, address string, sender *driver.Sender) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("-control %s: %w", address, err)
	}
	control := &http.Server{Handler: sender.Handler(), ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() { control.Close() })
	go func() {
		defer stop()
		if err := control.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			control.Close()
		}
	}()
	return nil
}
