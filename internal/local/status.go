package local

import (
	"time"

	"github.com/smi-project/smi/mesh"
)

// Status is what a running mesh looks like, as its admin socket tells it.
type Status struct {
	// Pods are sorted by name.
	Pods     []PodStatus    `json:"pods"`
	Splits   []SplitStatus  `json:"splits"`
	Denials  []DenialCount  `json:"denials"`
	Findings []mesh.Finding `json:"findings"`
	// Settled tells that every pod is ready and every proxy in sync.
	Settled bool `json:"settled"`
}

// PodStatus is one pod.
type PodStatus struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Workload names the pod's owner, such as a Deployment.
	Workload       string `json:"workload"`
	ServiceAccount string `json:"serviceAccount"`
	// State is one of the states of a pod, such as "running".
	State State `json:"state"`
	// Reason says why the pod is not ready, where it is not.
	Reason   string `json:"reason,omitempty"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
	// Address is where the application listens, SidecarAddress what the mesh
	// sees; empty for a pod without sidecar.
	Address        string `json:"address"`
	SidecarAddress string `json:"sidecarAddress,omitempty"`
	// Proxy tells whether the sidecar has acknowledged everything.
	Proxy string `json:"proxy"`
	// RequestProxy is where smi request sends its requests through the sidecar.
	RequestProxy string    `json:"requestProxy,omitempty"`
	Since        time.Time `json:"since"`
}

// State is where a pod is in its life.
type State string

// The states of a pod, in the order in which it goes through them.
const (
	// Starting pods wait for their sidecar.
	Starting State = "starting"
	// Running pods have all of their processes started.
	Running State = "running"
	// Failing pods have a process that ended and will be started again.
	Failing State = "failing"
	// Done pods have ended for good.
	Done State = "done"
)

// SplitStatus compares what a TrafficSplit wants with what was seen.
type SplitStatus struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Service   string          `json:"service"`
	Port      uint16          `json:"port"`
	Matches   bool            `json:"matches,omitempty"`
	Backends  []BackendStatus `json:"backends"`
}

// BackendStatus is one backend of a split.
type BackendStatus struct {
	Service string  `json:"service"`
	Weight  uint32  `json:"weight"`
	Wanted  float64 `json:"wanted"`
	// Requests went here of all that were sent to the root, since the start.
	Requests uint64  `json:"requests"`
	Observed float64 `json:"observed"`
}

// Denial is who was refused what.
type Denial struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// DenialCount is how often somebody was refused something.
type DenialCount struct {
	Denial
	Count uint64 `json:"count"`
}
