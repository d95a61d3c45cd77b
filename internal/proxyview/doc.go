// Package proxyview makes what a sidecar's Envoy tells of its configuration readable:
// who may call the pod, what the pod may reach, when that came, and what was refused.
//
// It reads what the admin interface answers and asks nobody. What resources mean is
// not worked out again: it says what the proxy has, right or wrong.
package proxyview

// What a sidecar may be asked of its Envoy. Nothing of it changes anything, and Envoy
// leaves private keys out.
const (
	PathConfig       = "/config_dump?include_eds"
	PathCertificates = "/certs"
	PathClusters     = "/clusters?format=json"
	PathStats        = "/stats"
	PathReady        = "/ready"
)

// Paths are all of them.
var Paths = []string{PathConfig, PathCertificates, PathClusters, PathStats, PathReady}
