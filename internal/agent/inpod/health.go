package inpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// readyTimeout is below the second that the kubelet waits.
const readyTimeout = 800 * time.Millisecond

// health answers /ready: 200 when traffic can be carried, else 503 with what is
// missing, which the kubelet shows as an event of the pod.
func (p *Pod) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := p.ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

func (p *Pod) ready(ctx context.Context) error {
	if p.stopping.Load() {
		return errors.New("the pod is being stopped")
	}
	if svid, err := p.agent.Identity(); svid == nil {
		if err == nil {
			return errors.New("waiting for a certificate")
		}
		return fmt.Errorf("no certificate yet: %w", err)
	} else if left := time.Until(svid.ExpiresAt); left <= 0 {
		return fmt.Errorf("the certificate has ended %s ago, and no other could be had: %w", -left.Round(time.Second), err)
	}
	if p.draining.Load() {
		// Envoy calls itself unready then. It serves as before, and where all pods of a
		// Service are ending, Kubernetes sends to those that are ready.
		return p.agent.Admin().Alive(ctx)
	}
	if err := p.agent.Admin().Ready(ctx); err != nil {
		return fmt.Errorf("Envoy has no configuration from the control plane %s yet: %w", p.options.Settings.Controller, err)
	}
	return nil
}
