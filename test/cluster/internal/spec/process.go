package spec

import (
	"path/filepath"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
)

// Process is one component, as the node's supervisor runs it.
type Process struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args"`
	// Search is a folder in which the component looks for programs first.
	Search string `json:"search,omitempty"`
	// Ready is a URL that answers 200 when the component works. With the scheme
	// unix it is a socket that takes connections.
	Ready string `json:"ready,omitempty"`
	// After names the components that must be ready before this one is started.
	After []string `json:"after,omitempty"`
}

// Cluster is what components are configured by.
type Cluster struct {
	Name string
	Plan network.Plan
	// Folders are the folders of built components below the cache.
	Folders map[string]string
	// ControlPlaneOnly leaves all but etcd and the API server out.
	ControlPlaneOnly bool
}

const dir = layout.Node

// program gives the path of a program of a component inside the node.
func (c Cluster) program(component, file string) string {
	return filepath.Join(c.folder(component), file)
}

func (c Cluster) folder(component string) string {
	return filepath.Join(dir.Cache(), filepath.Base(c.Folders[component]))
}

// Processes lists the components in the order in which they are shown.
func (c Cluster) Processes() []Process {
	out := []Process{c.etcd(), c.apiServer()}
	if c.ControlPlaneOnly {
		return out
	}
	return append(out, c.controllerManager(), c.scheduler(), c.containerd(), c.kubelet(), c.proxy())
}
