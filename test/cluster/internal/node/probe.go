package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// prober asks components whether they work.
type prober struct {
	client *http.Client
}

// probeEvery is short: most of a start is waiting for one component after another.
const probeEvery = 50 * time.Millisecond

// newProber trusts servers whose certificate the authority in the file signed.
func newProber(authority string) (*prober, error) {
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in " + authority)
	}
	return &prober{client: &http.Client{
		Timeout: time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
	}}, nil
}

// await returns when the URL answers well. Nothing is asked of an empty one.
func (p *prober) await(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		if p.once(ctx, url) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *prober) once(ctx context.Context, url string) bool {
	if socket, ok := strings.CutPrefix(url, "unix://"); ok {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
