package meshstatus

import "slices"

// State is how well something is.
type State string

// The states, from good to bad.
const (
	// OK needs nobody.
	OK State = "ok"
	// Warning works, and somebody should know; also what could not be asked.
	Warning State = "warning"
	// Failed does not work.
	Failed State = "failed"
)

var states = []State{OK, Warning, Failed}

// Check is what was found about one part of the mesh.
type Check struct {
	Name    string `json:"name"`
	State   State  `json:"state"`
	Message string `json:"message"`
	// Details name what the message counts, at most a handful.
	Details []string `json:"details,omitempty"`
	// Remedy is what to do; empty where the state is OK.
	Remedy string `json:"remedy,omitempty"`
}

// Namespace sums up the pods of a namespace that has to do with the mesh.
type Namespace struct {
	Name string `json:"name"`
	// Injected tells whether its label asks for sidecars.
	Injected bool `json:"injected"`
	// Mode is strict, permissive or audit.
	Mode string `json:"mode"`
	// Pods run or start, Meshed of them have a sidecar, and Ready of these have one
	// that is ready.
	Pods   int `json:"pods"`
	Meshed int `json:"meshed"`
	Ready  int `json:"ready"`
}

// Versions are those that meet on the cluster.
type Versions struct {
	// CLI is that of this program, Controller that of the controller's image; empty
	// where it is not known.
	CLI        string `json:"cli"`
	Controller string `json:"controller,omitempty"`
}

// Report is how a mesh is.
type Report struct {
	// State is the worst of the checks'.
	State State `json:"state"`
	// Context names the cluster, Namespace is the controller's.
	Context    string      `json:"context"`
	Namespace  string      `json:"namespace"`
	Versions   Versions    `json:"versions"`
	Checks     []Check     `json:"checks"`
	Namespaces []Namespace `json:"namespaces"`
}

func (r *Report) add(checks ...Check) {
	for _, c := range checks {
		r.Checks = append(r.Checks, c)
		if slices.Index(states, c.State) > slices.Index(states, r.State) {
			r.State = c.State
		}
	}
}

// maxDetails is how many things a check names.
const maxDetails = 5

// details are the first of many lines.
func details(all []string) []string {
	if len(all) <= maxDetails {
		return all
	}
	return append(slices.Clone(all[:maxDetails]), "and "+plural(len(all)-maxDetails, "more", "more"))
}
