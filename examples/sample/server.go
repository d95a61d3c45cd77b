package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
)

// The bounds of what one process takes on.
const (
	// maxConnections is per port.
	maxConnections = 2048
	maxHeaderBytes = 64 << 10
	maxBodyBytes   = 1 << 20
	headerTimeout  = 10 * time.Second
	idleTimeout    = 5 * time.Minute
)

// server serves all ports of one process.
type server struct {
	cfg   *config
	calls *caller
	log   *slog.Logger

	listeners map[net.Listener]portKind
	packets   []net.PacketConn
	http      *http.Server
	grpc      *grpc.Server
	health    *health.Server
	// stopping is set once the process was told to stop.
	stopping atomic.Bool
	// ended is closed when the grace is over: what still runs then ends.
	ended context.Context
	end   context.CancelFunc
}

func newServer(cfg *config, calls *caller, log *slog.Logger) *server {
	s := &server{cfg: cfg, calls: calls, log: log, listeners: map[net.Listener]portKind{}}
	s.ended, s.end = context.WithCancel(context.Background())
	s.grpc, s.health = newGRPC(cfg.who)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s.handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ended },
	}
	return s
}

// listen opens every port, or none.
func (s *server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	for kind, ports := range s.cfg.ports {
		for _, port := range ports {
			address := net.JoinHostPort(s.cfg.address, strconv.Itoa(int(port)))
			at, err := s.open(ctx, &lc, kind, address)
			if err != nil {
				s.closeListeners()
				return fmt.Errorf("-%s %d: %w", kind, port, err)
			}
			s.log.Info("listening", "kind", kind, "address", at.String())
		}
	}
	return nil
}

// open opens one port and returns where it listens.
func (s *server) open(ctx context.Context, lc *net.ListenConfig, kind portKind, address string) (net.Addr, error) {
	if kind == kindUDP {
		conn, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, err
		}
		s.packets = append(s.packets, conn)
		return conn.LocalAddr(), nil
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s.listeners[netutil.LimitListener(l, maxConnections)] = kind
	return l.Addr(), nil
}

func (s *server) closeListeners() {
	for l := range s.listeners {
		l.Close()
	}
	for _, p := range s.packets {
		p.Close()
	}
}

// serve serves the open ports until the context ends, then refuses new
// connections and gives what is under way the grace period to finish.
func (s *server) serve(ctx context.Context) error {
	defer s.end()
	group, failed := errgroup.WithContext(ctx)
	for l, kind := range s.listeners {
		group.Go(func() error { return s.serveListener(l, kind) })
	}
	for _, p := range s.packets {
		group.Go(func() error { return s.servePackets(p) })
	}
	group.Go(func() error {
		<-failed.Done()
		return s.shutdown()
	})
	return group.Wait()
}

func (s *server) shutdown() error {
	s.stopping.Store(true)
	s.health.Shutdown()
	s.log.Info("stopping", "grace", s.cfg.grace)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.grace)
	defer cancel()
	stop := context.AfterFunc(ctx, s.end)
	defer stop()
	s.closeListeners()
	err := s.http.Shutdown(ctx)
	s.end()
	s.grpc.Stop()
	if errors.Is(err, context.DeadlineExceeded) {
		return s.http.Close()
	}
	return err
}

// serveListener serves one port until its listener is closed.
func (s *server) serveListener(l net.Listener, kind portKind) error {
	var err error
	switch kind {
	case kindTCP:
		err = s.acceptTCP(l, s.echo)
	case kindGreet:
		err = s.acceptTCP(l, s.greet)
	case kindHTTPS:
		err = s.http.ServeTLS(l, filepath.Join(s.cfg.certificate, "tls.crt"), filepath.Join(s.cfg.certificate, "tls.key"))
	case kindAny:
		web := newHandover(l.Addr())
		defer web.Close()
		go func() { _ = s.http.Serve(web) }() // ends when web is closed
		err = s.acceptTCP(l, func(c net.Conn) { s.sniff(c, web) })
	default:
		err = s.http.Serve(l)
	}
	if s.stopping.Load() && (errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed)) {
		return nil
	}
	return err
}
