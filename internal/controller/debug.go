package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/smi-project/smi/internal/controlplane"
)

// serveDebug serves profiles and dumps until the context ends. They tell a lot
// about a mesh, so they belong on loopback; there is no secret in them.
func (c *Controller) serveDebug(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/mesh", c.withPlane(c.dumpMesh))
	mux.HandleFunc("GET /debug/proxies", c.withPlane(c.dumpProxies))
	mux.HandleFunc("POST /debug/settled", c.settled)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.options.Addresses.Debug)
	if err != nil {
		return fmt.Errorf("controller: debug: %w", err)
	}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("controller: debug: %w", err)
	}
	return nil
}

func (c *Controller) withPlane(serve func(http.ResponseWriter, *controlplane.ControlPlane) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		plane := c.plane.Load()
		if plane == nil || plane.Mesh() == nil {
			http.Error(w, "nothing was compiled yet", http.StatusServiceUnavailable)
			return
		}
		if err := serve(w, plane); err != nil {
			c.log.Warn("a dump was not written to its end", "error", err)
		}
	}
}

// dumpMesh writes what the mesh means, as smi compile prints it.
func (c *Controller) dumpMesh(w http.ResponseWriter, plane *controlplane.ControlPlane) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return plane.Mesh().WriteText(w)
}

// dumpProxies writes how far each proxy is.
func (c *Controller) dumpProxies(w http.ResponseWriter, plane *controlplane.ControlPlane) error {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(plane.Proxies())
}
