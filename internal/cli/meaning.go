package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/mesh"
)

// meaning are the flags of everything that resources alone do not say.
type meaning struct {
	trustDomain string
	mode        string
	flags       *pflag.FlagSet
}

// set tells whether a flag was given.
func (m *meaning) set(name string) bool { return m.flags.Changed(name) }

func (m *meaning) register(root *cobra.Command) {
	m.flags = root.PersistentFlags()
	m.mode = string(mesh.Strict)
	root.PersistentFlags().StringVar(&m.trustDomain, "trust-domain", "cluster.local", "SPIFFE trust `domain` of the mesh; a cluster says it by itself")
	modes := []string{string(mesh.Strict), string(mesh.Permissive), string(mesh.Audit)}
	addChoiceFlag(root, choice{&m.mode, modes}, true, [2]string{"mode", ""},
		"what happens to traffic that nothing allows, in namespaces whose label smi-spec.io/access does not say")
}

// Config is what the flags say of the meaning of resources.
func (a *App) Config() (compile.Config, error) {
	name := a.meaning.trustDomain
	// The library would also take whole SPIFFE ids.
	if _, err := spiffeid.TrustDomainFromString(name); err != nil || strings.ContainsAny(name, ":/") {
		return compile.Config{}, UsageErrorf("--trust-domain %q is no trust domain: it has lower-case letters, digits, dots, hyphens and underscores, such as mesh.example.org", name)
	}
	return compile.Config{TrustDomain: name, Mode: mesh.Mode(a.meaning.mode)}, nil
}
