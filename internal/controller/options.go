package controller

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/render/envoy"
)

// Options are what a controller is made of.
type Options struct {
	Config *config.Controller
	// Cluster is how to reach the API server.
	Cluster *rest.Config
	// Namespace is the controller's own.
	Namespace string
	// Replica names this process among its like: the name of its pod.
	Replica string
	// LeaderElection lets one replica at a time write. Without it this one does.
	LeaderElection bool
	// Version is that of this program.
	Version string
	// Addresses are where it listens.
	Addresses Addresses
	// Registry takes the metrics; that of controller-runtime if nil.
	Registry Registry
	Logger   *slog.Logger
}

// Registry takes metrics and hands them out.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Addresses are where a controller listens, as "host:port". An empty field means
// the usual port.
type Addresses struct {
	// Control is xDS and certificates, Webhook what the API server calls.
	Control, Webhook string
	// Metrics and Health are plain HTTP. Debug too, and belongs on loopback.
	Metrics, Health, Debug string
}

func (o *Options) complete() error {
	switch {
	case o.Config == nil || o.Cluster == nil:
		return errors.New("controller: a configuration and a cluster are needed")
	case o.Namespace == "":
		return errors.New("controller: its own namespace is not known; set POD_NAMESPACE or --namespace")
	case o.Replica == "":
		return errors.New("controller: the replica has no name; set POD_NAME")
	}
	a := &o.Addresses
	a.Control = cmp.Or(a.Control, ":15012")
	a.Webhook = cmp.Or(a.Webhook, ":9443")
	a.Metrics = cmp.Or(a.Metrics, ":8080")
	a.Health = cmp.Or(a.Health, ":8081")
	a.Debug = cmp.Or(a.Debug, "127.0.0.1:6060")
	if o.Registry == nil {
		o.Registry = ctrlmetrics.Registry
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// serviceNames are the names of the Service in front of the controller.
func (o *Options) serviceNames() []string {
	short := o.Config.Service + "." + o.Namespace + ".svc"
	return []string{short, short + "." + o.Config.ClusterDomain}
}

// compileConfig is what the configuration says of the meaning of resources. The
// nodes' ranges count where the configuration has none.
func (o *Options) compileConfig(nodes []netip.Prefix) compile.Config {
	ranges := prefixes(o.Config.PodCIDRs)
	if len(ranges) == 0 {
		ranges = nodes
	}
	return compile.Config{
		TrustDomain: o.Config.TrustDomain, ClusterDomain: o.Config.ClusterDomain,
		Mode: o.Config.Mode, Floor: o.Config.ModeFloor, Sidecars: true, Ranges: ranges,
		ExcludeInbound: o.Config.Exclude.InboundPorts,
	}
}

func (o *Options) renderOptions() envoy.Options {
	options := envoy.Options{
		TrustDomain: o.Config.TrustDomain, ClusterDomain: o.Config.ClusterDomain,
		EncodedSlashes: o.Config.EncodedSlashes, RefuseOutside: o.Config.Egress == config.DenyEgress,
		Metrics: map[config.Metrics]envoy.Metrics{
			config.MetricsALS: envoy.ALS, config.MetricsStats: envoy.Stats, config.MetricsNone: envoy.NoMetrics,
		}[o.Config.Metrics],
	}
	if o.Config.AccessLog {
		options.AccessLogPath = "/dev/stdout"
	}
	return options
}

func (o *Options) injectOptions() inject.Options {
	c := o.Config
	image := c.Image.Name + ":" + cmp.Or(c.Image.Tag, o.Version)
	if c.Image.Registry != "" {
		image = strings.TrimSuffix(c.Image.Registry, "/") + "/" + image
	}
	options := inject.Options{
		Image: image, PullPolicy: c.Image.PullPolicy, PullSecrets: c.Image.PullSecrets,
		Controller: o.serviceNames()[0] + ":15012", TrustDomain: c.TrustDomain,
		LogLevel: c.Sidecar.LogLevel, PreStopSeconds: int64(*c.Sidecar.PreStopSeconds),
		ExcludeInbound: c.Exclude.InboundPorts, ExcludeOutbound: c.Exclude.OutboundPorts, ExcludeCIDRs: prefixes(c.Exclude.CIDRs),
		SystemNamespaces: append([]string{o.Namespace}, c.Exclude.Namespaces...),
		Mode:             o.compileConfig(nil).ModeOf,
		Version:          o.Version,
	}
	if c.Sidecar.Resources != nil {
		options.Resources = *c.Sidecar.Resources
	} else {
		options.Resources = corev1.ResourceRequirements{Requests: defaultRequests()}
	}
	return options
}

// prefixes are ranges that the configuration has validated.
func prefixes(written []string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range written {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// LogTo has the libraries of Kubernetes log to the process's logger.
func LogTo(logger *slog.Logger) {
	log.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetSlogLogger(logger)
}
