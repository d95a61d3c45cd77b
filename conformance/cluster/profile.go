package cluster

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/conformance"
)

// Profile is what the suite has to know of a mesh to run on a cluster that has it.
type Profile struct {
	// Name is the mesh's; Namespace is where its control plane runs, Deployment the
	// control plane's, from whose image the version is read.
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Deployment string `json:"deployment"`
	// Verified names the run on the real mesh that stands behind the profile; empty
	// where there was none and documentation alone says that it is so.
	Verified string `json:"verified,omitempty"`
	// NamespaceLabels and NamespaceAnnotations mark a namespace whose pods are in the
	// mesh.
	NamespaceLabels      map[string]string `json:"namespaceLabels,omitempty"`
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations,omitempty"`
	// PodAnnotations are given to every pod in the mesh.
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// OutsideLabels and OutsideAnnotations mark a pod that stays outside, although its
	// namespace is marked.
	OutsideLabels      map[string]string `json:"outsideLabels,omitempty"`
	OutsideAnnotations map[string]string `json:"outsideAnnotations,omitempty"`
	// Domain ends the full names of Services; "cluster.local" if empty.
	Domain string `json:"domain,omitempty"`
	// Settled is how a run learns that every proxy follows what was applied.
	Settled Settled `json:"settled"`
	// Authority, where set, is what signs the mesh's certificates. It is read where a
	// run is asked to forge.
	Authority *Authority `json:"authority,omitempty"`
	// Denials tells that sidecars count denials as this project's do.
	Denials bool `json:"denials,omitempty"`
	// Claim is what the mesh claims.
	Claim conformance.Claim `json:"claim"`
}

// Settled is a way to learn that every proxy follows. Exactly one is set.
type Settled struct {
	// Controller asks every replica of this project's controller, at the path of its
	// debug server.
	Controller *ControllerSettled `json:"controller,omitempty"`
	// Seconds waits that long after each change, for meshes that cannot be asked. A
	// run on such a mesh is slow, and its failures may be those of a slow mesh.
	Seconds int `json:"seconds,omitempty"`
}

// ControllerSettled is where a controller of this project is asked.
type ControllerSettled struct {
	// Selector selects the controller's pods, Port is that of its debug server.
	Selector string `json:"selector"`
	Port     int    `json:"port"`
}

// Authority is where a mesh keeps what signs its certificates.
type Authority struct {
	// Secret is its name, in the namespace of the control plane. Its keys tls.crt and
	// tls.key hold the certificate and its key, as PEM.
	Secret string `json:"secret"`
	// SourceNames tells that clients send server names that say who they are, made as
	// those of this project.
	SourceNames bool `json:"sourceNames,omitempty"`
}

//go:embed profiles/*.yaml
var profiles embed.FS

// Profiles are the names of the profiles that this package has, sorted.
func Profiles() []string {
	entries, err := fs.ReadDir(profiles, "profiles")
	if err != nil {
		panic(err) // It is embedded.
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// LoadProfile returns the profile of that name.
func LoadProfile(name string) (*Profile, error) {
	if !slices.Contains(Profiles(), name) {
		return nil, fmt.Errorf("there is no profile %q; there are %s", name, strings.Join(Profiles(), ", "))
	}
	text, err := fs.ReadFile(profiles, "profiles/"+name+".yaml")
	if err != nil {
		return nil, err
	}
	p, err := ParseProfile(text)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return p, nil
}

// ParseProfile reads a profile. A field that is not known is an error.
func ParseProfile(text []byte) (*Profile, error) {
	p := new(Profile)
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		return nil, err
	}
	switch {
	case p.Name == "":
		return nil, errors.New("name: the mesh's name is needed")
	case len(p.NamespaceLabels)+len(p.NamespaceAnnotations) == 0:
		return nil, errors.New("namespaceLabels: what marks a namespace of the mesh is needed, here or as namespaceAnnotations")
	case len(p.OutsideLabels)+len(p.OutsideAnnotations) == 0:
		return nil, errors.New("outsideLabels: what keeps a pod out of the mesh is needed, here or as outsideAnnotations")
	case (p.Settled.Controller == nil) == (p.Settled.Seconds == 0):
		return nil, errors.New("settled: exactly one of controller and seconds is needed")
	case p.Authority != nil && (p.Authority.Secret == "" || p.Namespace == ""):
		return nil, errors.New("authority: its secret, and the namespace that it is in, are needed")
	}
	if p.Domain == "" {
		p.Domain = "cluster.local"
	}
	return p, nil
}
