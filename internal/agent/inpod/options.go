package inpod

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// Options are what an agent in a pod is made of. Environment fills in what the
// pod says; the rest differs in tests alone.
type Options struct {
	Settings *sidecar.Settings
	Pod      mesh.Name
	// ServiceAccount is the pod's, in its namespace.
	ServiceAccount string
	// Addresses are the pod's, the first one that of its status.
	Addresses []netip.Addr

	// Envoy is the path of the executable, Dir the directory for the bootstrap and
	// the sockets, TokenPath and RootsPath the files that Kubernetes keeps current.
	Envoy, Dir, TokenPath, RootsPath string
	// Metrics, Health and Probes are addresses to listen on, such as ":15020".
	Metrics, Health, Probes string
	// Delivery are the addresses, at most one of each family, from which the
	// application is asked.
	Delivery []netip.Addr
	// DrainTime is how long a stop waits for what is in flight.
	DrainTime time.Duration
	// RootsInterval is how often the roots are looked at.
	RootsInterval time.Duration

	// Level is that of the Logger, and can be changed while the agent runs.
	Level  *slog.LevelVar
	Logger *slog.Logger
}

// drainTime is short since a native sidecar is told to stop when the containers
// of the application have ended: nothing that matters is in flight any more.
const drainTime = 10 * time.Second

// rootsInterval is short beside the minute that the kubelet takes. Looking is
// cheaper than a watch of the kernel, of which a user has but a few and all
// sidecars of a node are the same user.
const rootsInterval = 2 * time.Second

// Environment returns the options that a pod's environment gives.
func Environment(getenv func(string) string) (*Options, error) {
	settings, err := sidecar.ParseSettings(getenv(sidecar.SettingsVariable))
	if err != nil {
		return nil, err
	}
	o := &Options{
		Settings: settings, ServiceAccount: getenv(sidecar.VariableAccount),
		Pod:   mesh.Name{Namespace: getenv(sidecar.VariableNamespace), Name: getenv(sidecar.VariablePod)},
		Envoy: sidecar.EnvoyPath, Dir: sidecar.AgentDir, TokenPath: sidecar.TokenPath, RootsPath: sidecar.RootsPath,
		Metrics: fmt.Sprintf(":%d", sidecar.PortMetrics), Health: fmt.Sprintf(":%d", sidecar.PortHealth), Probes: fmt.Sprintf(":%d", sidecar.PortProbes),
		Delivery:  []netip.Addr{netip.MustParseAddr(sidecar.DeliveryIPv4), netip.MustParseAddr(sidecar.DeliveryIPv6)},
		DrainTime: drainTime, RootsInterval: rootsInterval,
	}
	if o.Pod.Namespace == "" || o.Pod.Name == "" || o.ServiceAccount == "" {
		return nil, fmt.Errorf("%s, %s and %s are needed: this program was not started by the injector", sidecar.VariableNamespace, sidecar.VariablePod, sidecar.VariableAccount)
	}
	for text := range strings.SplitSeq(getenv(sidecar.VariableAddresses), ",") {
		address, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sidecar.VariableAddresses, err)
		}
		o.Addresses = append(o.Addresses, address)
	}
	return o, nil
}

func (o *Options) check() error {
	if o.Settings == nil || o.Level == nil || o.Logger == nil || len(o.Addresses) == 0 {
		return errors.New("agent: Settings, Level, Logger and Addresses are needed")
	}
	return nil
}
