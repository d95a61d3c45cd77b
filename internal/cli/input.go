package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// inputFlags say what is read: files where there are paths, else a cluster.
type inputFlags struct {
	paths      []string
	connection kube.Connection
	// namespace is the one that is asked about; the context's if empty. everywhere
	// asks about all.
	namespace  string
	everywhere bool
	// narrow tells that the answer is about a part of the cluster.
	narrow bool
	// system is the controller's namespace.
	system string
}

// input is what was read, and what it means.
type input struct {
	mesh *mesh.Mesh
	// files is what was read from files, and cluster from a cluster; one of them is
	// nil.
	files   *file.Result
	cluster *clusterInput
}

// defaultSystem is the controller's namespace unless a flag says.
const defaultSystem = "smi-system"

func (f *inputFlags) register(cmd *cobra.Command) {
	addPathFlag(cmd, &f.paths)
	addConnectionFlags(cmd, &f.connection)
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` of the cluster that is asked about (default the context's)")
	flags.StringVar(&f.system, "smi-namespace", defaultSystem, "`NAMESPACE` of the controller, whose configuration is read")
	completeFlag(cmd, "namespace", completeNamespaces(&f.connection))
	completeFlag(cmd, "smi-namespace", completeNamespaces(&f.connection))
}

// registerEverywhere adds -A, where an answer is about one namespace or all.
func (f *inputFlags) registerEverywhere(cmd *cobra.Command) {
	f.narrow = true
	cmd.Flags().BoolVarP(&f.everywhere, "all-namespaces", "A", false, "ask about all namespaces of the cluster")
	cmd.MarkFlagsMutuallyExclusive("namespace", "all-namespaces")
}

// defaultNamespace is that of names without one. Where no cluster is known, that is
// said when it is to be read.
func (f *inputFlags) defaultNamespace() string {
	if f.namespace != "" {
		return f.namespace
	}
	cluster, err := f.connection.Cluster()
	if err != nil {
		return "default"
	}
	return cluster.Namespace
}

// clusterFlags are those that have no meaning beside files.
var clusterFlags = []string{"kubeconfig", "context", "namespace", "all-namespaces", "smi-namespace"}

// load reads and compiles what the flags of a command name.
func (a *App) load(cmd *cobra.Command, f *inputFlags) (*input, error) {
	if len(f.paths) == 0 {
		return a.loadCluster(cmd.Context(), f)
	}
	for _, name := range clusterFlags {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			return nil, UsageErrorf("--%s is for a cluster, and %s names files; write one of them", name, f.paths[0])
		}
	}
	return a.loadFiles(f.paths)
}

// loadFiles reads files and folders and compiles what is in them. What is wrong
// inside of a file is no error: it is among the findings of the files.
func (a *App) loadFiles(paths []string) (*input, error) {
	config, err := a.Config()
	if err != nil {
		return nil, err
	}
	files, err := file.Load(paths, file.Options{Offline: true, Input: a.In})
	if err != nil {
		return nil, err
	}
	return &input{files: files, mesh: compiled(files.Objects, config)}, nil
}

func compiled(objects []store.Object, config compile.Config) *mesh.Mesh {
	s := store.New()
	s.Replace(objects)
	return compile.New(config).Compile(s.Snapshot())
}

// rendering is how proxies are told what the input means.
func (in *input) rendering() envoy.Options {
	if in.cluster != nil {
		return in.cluster.config.Rendering()
	}
	return envoy.Options{TrustDomain: in.mesh.TrustDomain}
}

// about tells whether an object is in the namespace that is asked about. Files are
// asked about as a whole.
func (in *input) about(o mesh.ObjectRef) bool {
	if in.cluster == nil || in.cluster.namespace == "" || o.Namespace == in.cluster.namespace {
		return true
	}
	return o.Kind == "Namespace" && o.Name == in.cluster.namespace
}

func addPathFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "filename", "f", nil, "`PATH` of a file or folder with manifests, or - for the standard input; may be repeated. Without one, a cluster is read")
	if err := cmd.MarkFlagFilename("filename", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag was added above
	}
}

// requireWhole refuses to answer from an input of which something could not be
// read: the answer might be another one with it.
func (a *App) requireWhole(in *input) error {
	if in.files == nil {
		return nil
	}
	var left []mesh.Finding
	for _, f := range in.files.Findings {
		if f.Severity == mesh.Error {
			left = append(left, f)
		}
	}
	if len(left) == 0 {
		return nil
	}
	for _, f := range left {
		a.complain(f)
	}
	return fmt.Errorf("the input has %s, and without what is left out the answer could be wrong", count(len(left), "error"))
}

// complain prints a finding where errors go.
func (a *App) complain(f mesh.Finding) {
	_, _ = io.WriteString(a.Err, printable(f.Message)+"\n") // nobody is left to tell
}

// notice prints a line beside the answer.
func (a *App) notice(format string, args ...any) {
	fmt.Fprintln(a.Err, printable(fmt.Sprintf(format, args...)))
}
