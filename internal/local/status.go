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
	// Settled tells that every pod is ready or done and every proxy in sync.
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
	// Proxy is InSync when the sidecar has acknowledged everything, and otherwise
	// says what is wrong; "none" where there is no sidecar.
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
	// Failing pods cannot run, or have a process that ended badly. What can be
	// tried again is.
	Failing State = "failing"
	// Done pods have ended for good.
	Done State = "done"
	// Stopping pods were told to end.
	Stopping State = "stopping"
)

// InSync is what PodStatus says of a proxy that has acknowledged everything.
const InSync = "in sync"

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
	Service string `json:"service"`
	Weight  uint32 `json:"weight"`
	// Wanted and Observed are shares, from 0 to 1.
	Wanted float64 `json:"wanted"`
	// Requests went here of all that this split sent somewhere, since its weights
	// are what they are.
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
