package envoy

// Names that a proxy's bootstrap and its agent share with the resources.
const (
	// ClusterXDS is the static cluster of the xDS server.
	ClusterXDS = "smi-xds"
	// ClusterSDS is the static cluster of the agent's secret service.
	ClusterSDS = "smi-sds"
	// ClusterALS is the static cluster of the agent's access log service.
	ClusterALS = "smi-als"
	// SecretDefault is the secret with the workload's certificate and key.
	SecretDefault = "default"
	// SecretRoot is the secret with the roots that peers are verified against.
	SecretRoot = "root"
	// LogName is the log_name of what is sent to ClusterALS.
	LogName = "smi"
)

// DrainSeconds is the drain time that proxies are started with
// (--drain-time-s). What a withdrawn grant carried is closed by then, within
// the 30 s of AC-17.
const DrainSeconds = 20

// Metrics says how proxies report requests, connections and denials.
type Metrics int

const (
	// ALS sends a record of each to the agent by the gRPC access log service.
	ALS Metrics = iota
	// Stats counts them in Envoy by the stats access logger, which Envoy calls
	// work in progress.
	Stats
	// NoMetrics has proxies report nothing, to measure what reporting costs.
	NoMetrics
)

// Options are the same for every proxy of a mesh.
type Options struct {
	// TrustDomain is the SPIFFE trust domain of every identity (ID-1).
	TrustDomain string
	// ClusterDomain completes the names of Services; "cluster.local" if empty.
	ClusterDomain string
	// EncodedSlashes lets paths with %2F or %5C pass instead of refusing them
	// with 400 (SP-9).
	EncodedSlashes bool
	// RefuseOutside refuses, on a cluster, what pods send to destinations outside the
	// mesh, instead of letting it pass (PR-5).
	RefuseOutside bool
	// Metrics is how proxies report what they did.
	Metrics Metrics
	// AccessLogPath, where set, is a file such as /dev/stdout that each proxy
	// writes a line of JSON to per request and connection.
	AccessLogPath string
	// SourceChains is how many sources of one port may have a filter chain each;
	// DefaultSourceChains if 0.
	SourceChains int
}

func (o Options) withDefaults() Options {
	if o.ClusterDomain == "" {
		o.ClusterDomain = "cluster.local"
	}
	if o.TrustDomain == "" {
		o.TrustDomain = "cluster.local"
	}
	if o.SourceChains == 0 {
		o.SourceChains = DefaultSourceChains
	}
	return o
}
