//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/agent"
	"github.com/smi-project/smi/internal/agent/accesslog"
	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/controlplane"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Options say what to run and how.
type Options struct {
	// Paths are the files and folders to read.
	Paths []string
	// Follow, where set, tells of objects in place of files: it calls changed with
	// all of them, at first and whenever they change, until the context ends.
	Follow func(ctx context.Context, changed func(*file.Result)) error
	// Commands stand for images.
	Commands Commands
	// Envoy is the path of the executable.
	Envoy string
	// AdminSocket is the path of the Unix socket that smi request and others ask;
	// DefaultAdminSocket when empty.
	AdminSocket string
	// Compile holds the trust domain and the mode.
	Compile compile.Config
	// CertificateTTL is how long a certificate lives; 24 h when zero.
	CertificateTTL time.Duration
	// Metrics is how sidecars report, AccessLog a file that they write lines of
	// JSON to, where set.
	Metrics   envoy.Metrics
	AccessLog string
	// Line takes one line of output: whose it is, and what it says. It is called
	// by several goroutines.
	Line func(source, text string)
	// Sink, where set, takes the access log besides the runtime itself.
	Sink   accesslog.Sink
	Logger *slog.Logger
}

// Runtime is a mesh that runs on this machine.
type Runtime struct {
	options   Options
	log       *slog.Logger
	dir       string
	addresses *addresses
	ca        *identity.CA
	store     *store.Store
	plane     *controlplane.ControlPlane
	traffic   *traffic
	metrics   *accesslog.Metrics
	sink      accesslog.Sink
	results   chan *file.Result
	stopped   chan *runner

	// unplaced is what was said last of pods that have no place. The loop alone
	// uses it.
	unplaced []string

	// mu guards what follows. A runner's lock may be taken while it is held, never
	// the other way round.
	mu     sync.Mutex
	result *file.Result
	pods   map[types.NamespacedName]*podEntry
	// upstreams are the local ports of Service ports, nextPort the next one.
	upstreams map[mesh.Name]map[uint16]uint16
	nextPort  uint16
	// announced are the findings that were printed, and refused what proxies were
	// last said to refuse, by their node.
	announced map[string]bool
	refused   map[string]string
	// changed is closed, and replaced, when the status may have changed.
	changed chan struct{}
}

// PodKey is the attribute of log records that names the pod they are about.
const PodKey = "pod"

// podEntry is a pod that is wanted, or one that is being stopped.
type podEntry struct {
	// wanted is the pod as the files have it, nil where they have it no more.
	wanted *corev1.Pod
	at     pair
	runner *runner
	// stopping tells that the runner was told to stop.
	stopping bool
	// object is what the store holds.
	object *corev1.Pod
}

// maxEdges bounds the series of the metrics.
const maxEdges = 10_000

// New prepares a runtime: addresses, certificates, folders. Run starts it, and
// must be called, since it also cleans up.
func New(options Options) (*Runtime, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Line == nil {
		options.Line = func(string, string) {}
	}
	if options.AdminSocket == "" {
		options.AdminSocket = DefaultAdminSocket()
	}
	if options.Compile.TrustDomain == "" {
		options.Compile.TrustDomain = "cluster.local"
	}
	ca, err := identity.NewCA(identity.Config{TrustDomain: options.Compile.TrustDomain, TTL: options.CertificateTTL})
	if err != nil {
		return nil, err
	}
	held, err := claimAddresses()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "smi-run-")
	if err != nil {
		return nil, errors.Join(err, held.listener.Close())
	}
	rt := &Runtime{
		options: options, log: options.Logger, dir: dir, addresses: held, ca: ca, store: store.New(),
		traffic: newTraffic(), metrics: accesslog.NewMetrics(maxEdges), results: make(chan *file.Result, 1), stopped: make(chan *runner),
		pods: map[types.NamespacedName]*podEntry{}, upstreams: map[mesh.Name]map[uint16]uint16{}, nextPort: firstUpstream,
		announced: map[string]bool{}, refused: map[string]string{}, changed: make(chan struct{}),
	}
	rt.sink = accesslog.Tee(rt.traffic, rt.metrics)
	if options.Sink != nil {
		rt.sink = accesslog.Tee(rt.traffic, rt.metrics, options.Sink)
	}
	rt.plane = controlplane.New(controlplane.Config{
		Store: rt.store, CA: ca, Compile: options.Compile, Place: rt.place, OnMesh: rt.announce, OnProxy: rt.proxyChanged, Logger: rt.log,
		Render: envoy.Options{
			TrustDomain: options.Compile.TrustDomain, ClusterDomain: options.Compile.ClusterDomain,
			Metrics: options.Metrics, AccessLogPath: options.AccessLog,
		},
	})
	return rt, nil
}

// Run runs the mesh until the context ends, then stops everything and returns
// nil. No process and no file of the runtime's is left when it returns. An error
// says why the mesh could not run, or not go on.
func (rt *Runtime) Run(ctx context.Context) error {
	defer func() { _ = os.RemoveAll(rt.dir) }()
	// One message about an Envoy that cannot run is better than one per pod.
	if _, err := agent.ReleaseOf(ctx, rt.options.Envoy); ctx.Err() != nil {
		return rt.addresses.listener.Close()
	} else if err != nil {
		return errors.Join(fmt.Errorf("this Envoy cannot be used: %w; name another with --envoy or $ENVOY", err), rt.addresses.listener.Close())
	}
	admin, err := listenAdmin(rt.options.AdminSocket)
	if err != nil {
		return errors.Join(err, rt.addresses.listener.Close())
	}
	rt.greet()
	// The control plane outlives the pods, which may still talk while they end.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	group.Go(func() error { return rt.plane.Run(serving, rt.addresses.listener) })
	group.Go(func() error { return rt.serveAdmin(serving, admin) })
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	context.AfterFunc(serving, stopWatching)
	group.Go(func() error {
		if rt.options.Follow != nil {
			return rt.options.Follow(watching, rt.read)
		}
		return file.Watch(watching, rt.options.Paths, file.Options{}, rt.read)
	})
	group.Go(func() error {
		defer stop()
		rt.loop(watching, serving)
		return nil
	})
	return group.Wait()
}

// greet tells where things are.
func (rt *Runtime) greet() {
	flag := ""
	if rt.options.AdminSocket != DefaultAdminSocket() {
		flag = "--admin " + rt.options.AdminSocket + " "
	}
	rt.line("smi", fmt.Sprintf("pods have addresses in 127.%d.0.0/16; the admin socket is %s", rt.addresses.block, rt.options.AdminSocket))
	rt.line("smi", "to send a request: smi request "+flag+"--from NAMESPACE/WORKLOAD http://SERVICE.NAMESPACE:PORT/PATH")
}

// read takes over what the files say. Only the newest counts.
func (rt *Runtime) read(result *file.Result) {
	for {
		select {
		case rt.results <- result:
			return
		default:
		}
		select {
		case <-rt.results:
		default:
		}
	}
}

// loop follows the files until the first context ends, then stops all pods.
func (rt *Runtime) loop(ctx, serving context.Context) {
	for {
		select {
		case <-ctx.Done():
			rt.line("smi", "stops everything")
			rt.stopAll()
			return
		case result := <-rt.results:
			rt.reconcile(ctx, serving, result)
		case r := <-rt.stopped:
			rt.podStopped(ctx, r)
		}
	}
}

// SettleOn waits until the runtime has taken over a result that Follow has told,
// every pod is ready and every sidecar follows. The error names what does not.
func (rt *Runtime) SettleOn(ctx context.Context, result *file.Result) error {
	for {
		rt.mu.Lock()
		taken, changed := rt.result == result, rt.changed
		rt.mu.Unlock()
		if taken {
			return rt.Settle(ctx)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// line prints a line of output.
func (rt *Runtime) line(source, text string) { rt.options.Line(source, text) }

// notify wakes those who wait for a change of the status.
func (rt *Runtime) notify() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	close(rt.changed)
	rt.changed = make(chan struct{})
}

// DefaultAdminSocket is where smi run listens for smi request and others:
// $SMI_ADMIN, else a socket in a folder of the user's own.
func DefaultAdminSocket() string {
	if path := os.Getenv("SMI_ADMIN"); path != "" {
		return path
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("smi-%d", os.Getuid()), "admin.sock")
}
