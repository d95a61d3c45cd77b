package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/internal/xds"
)

// serverQuestion asks the server for one of several things.
type serverQuestion struct {
	// Start says for how many Services; Bare has the server accept streams and do
	// nothing with them.
	Start          int
	Bare           bool
	CertificatePEM []byte
	KeyPEM         []byte
	// Change edits an object: the kind of edit, by its place in
	// scaletest.Changes, and the round.
	Change *changeQuestion
	// Memory has garbage collected and memory measured.
	Memory bool
}

type changeQuestion struct{ Kind, Round int }

type serverAnswer struct {
	Address string
	// Changed is when the object was put into the store.
	Changed time.Time
	// HeapBytes are those of living objects and of stacks, ResidentBytes what the
	// kernel counts.
	HeapBytes, ResidentBytes float64
}

// xdsServer is the role that serves.
type xdsServer struct {
	group *errgroup.Group
	ctx   context.Context
	world *scaletest.World
	store *store.Store
	plane *controlplane.ControlPlane
}

func runXDSServer([]string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	s := &xdsServer{group: group, ctx: ctx}
	return serve(s.answer)
}

func (s *xdsServer) answer(q serverQuestion) (any, error) {
	var a serverAnswer
	var err error
	switch {
	case q.Start > 0:
		a.Address, err = s.start(q)
	case q.Change != nil:
		a.Changed = time.Now()
		s.store.Put(scaletest.Changes()[q.Change.Kind].Edit(s.world, q.Change.Round))
		s.plane.Changed()
	case q.Memory:
		for range 3 { // what has a finalizer, or is pooled, needs more than one cycle
			runtime.GC()
		}
		debug.FreeOSMemory()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		a.HeapBytes = float64(stats.HeapInuse + stats.StackInuse)
		a.ResidentBytes = residentBytes(os.Getpid())
	}
	return a, err
}

func (s *xdsServer) start(q serverQuestion) (string, error) {
	ca, err := identity.LoadCA(identity.Config{TrustDomain: "cluster.local"}, q.CertificatePEM, q.KeyPEM)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.world, s.store = scaletest.New(scaletest.Standard(q.Start)), store.New()
	s.store.Replace(s.world.Objects)
	s.plane = controlplane.New(controlplane.Config{
		Store: s.store, CA: ca, Place: s.world.Placement,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	s.plane.Push()
	if q.Bare {
		return listener.Addr().String(), s.serveBare(listener, ca)
	}
	s.group.Go(func() error { return s.plane.Run(s.ctx, listener) })
	return listener.Addr().String(), nil
}

// serveBare accepts streams as the real server does, and then lets them be.
func (s *xdsServer) serveBare(listener net.Listener, ca *identity.CA) error {
	keeper := identity.NewKeeper(ca.XDSSource(), nil)
	s.group.Go(func() error { return keeper.Run(s.ctx) })
	if _, err := keeper.Wait(s.ctx); err != nil {
		return fmt.Errorf("certificate of the bare server: %w", err)
	}
	server := grpc.NewServer(xds.Options(credentials.NewTLS(identity.ServerTLS(keeper, ca.Bundle())))...)
	discovery.RegisterAggregatedDiscoveryServiceServer(server, idle{})
	s.group.Go(func() error { return server.Serve(listener) })
	return nil
}

// idle keeps streams open.
type idle struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
}

func (idle) DeltaAggregatedResources(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return nil
		}
	}
}
