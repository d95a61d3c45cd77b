package controller

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/inject"
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
		ExcludeInbound: c.Exclude.InboundPorts, ExcludeOutbound: c.Exclude.OutboundPorts, ExcludeCIDRs: config.Prefixes(c.Exclude.CIDRs),
		SystemNamespaces: append([]string{o.Namespace}, c.Exclude.Namespaces...),
		Mode:             c.Meaning(nil, nil).ModeOf,
		Version:          o.Version,
	}
	if c.Sidecar.Resources != nil {
		options.Resources = *c.Sidecar.Resources
	} else {
		options.Resources = corev1.ResourceRequirements{Requests: defaultRequests()}
	}
	return options
}

// LogTo has the libraries of Kubernetes log to the process's logger.
func LogTo(logger *slog.Logger) {
	log.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetSlogLogger(logger)
}
