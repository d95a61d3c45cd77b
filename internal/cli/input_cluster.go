package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/meshstatus"
	"github.com/smi-project/smi/internal/sidecar"
	source "github.com/smi-project/smi/internal/source/kube"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// clusterInput is what was read from a cluster.
type clusterInput struct {
	objects []store.Object
	// namespace is the one that is asked about, empty for all.
	namespace string
	// config is what the controller is told, with what flags say over it.
	config *config.Controller
}

// loadCluster reads all of a cluster's mesh: who may call a namespace, and where its
// requests go, is said in others too.
func (a *App) loadCluster(ctx context.Context, f *inputFlags) (*input, error) {
	cluster, err := f.connection.Cluster()
	if err != nil {
		return nil, fmt.Errorf("-f is missing, and %w", err)
	}
	in := &clusterInput{}
	if in.config, err = a.clusterConfig(ctx, cluster, f.system); err != nil {
		return nil, err
	}
	loaded, err := source.Load(ctx, cluster.Config, a.reading())
	if err != nil {
		return nil, readable403(fmt.Errorf("context %s: %w", cluster.Name(), err))
	}
	in.objects = loaded.Objects
	if !f.everywhere {
		in.namespace = f.namespace
		if in.namespace == "" {
			in.namespace = cluster.Namespace
		}
	}
	if in.namespace != "" && !slices.ContainsFunc(loaded.Objects, in.isNamespace) {
		return nil, fmt.Errorf("context %s has no namespace %s", cluster.Name(), in.namespace)
	}
	a.notice("%s", f.headline(in, cluster.Name()))
	if len(loaded.Missing) > 0 {
		a.notice("The cluster does not know %s; smi crds apply installs what is missing.", strings.Join(loaded.Missing, ", "))
	}
	return &input{cluster: in, mesh: compiled(loaded.Objects, in.config.Meaning(loaded.Ranges.Pods, loaded.Ranges.Services))}, nil
}

// headline says what was read, and what of it the answer is about.
func (f *inputFlags) headline(in *clusterInput, context string) string {
	about := ""
	switch {
	case !f.narrow:
	case in.namespace == "":
		about = ", all namespaces"
	default:
		about = fmt.Sprintf("; this is about namespace %s, and -A is about all", in.namespace)
	}
	return fmt.Sprintf("Read %s of context %s%s.", count(len(in.objects), "object"), context, about)
}

// isNamespace tells whether an object is the namespace that is asked about.
func (in *clusterInput) isNamespace(o store.Object) bool {
	namespace, ok := o.(*corev1.Namespace)
	return ok && namespace.Name == in.namespace
}

// ipv6 tells whether pods have addresses of that family.
func (in *clusterInput) ipv6() bool {
	return slices.ContainsFunc(in.objects, func(o store.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return strings.Contains(ip.IP, ":") })
	})
}

// owners are the workloads of the pods that belong to one.
func (in *clusterInput) owners() map[mesh.ObjectRef]mesh.ObjectRef {
	owners := map[mesh.ObjectRef]mesh.ObjectRef{}
	for _, o := range in.objects {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			continue
		}
		if kind, name := sidecar.Owner(pod); kind != "" {
			owners[mesh.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}] = mesh.ObjectRef{Kind: kind, Namespace: pod.Namespace, Name: name}
		}
	}
	return owners
}

// clusterConfig is the controller's configuration, every default where it cannot be
// read, and what flags say over it.
func (a *App) clusterConfig(ctx context.Context, cluster *kube.Cluster, system string) (*config.Controller, error) {
	client, err := cluster.Clientset()
	if err != nil {
		return nil, err
	}
	found, err := meshstatus.ReadConfig(ctx, client, system)
	where := "ConfigMap " + system + "/" + meshstatus.ConfigMap
	switch {
	case err == nil:
	case apierrors.IsNotFound(err):
		a.notice("There is no %s, so defaults are taken for what it says; --smi-namespace names where the mesh is.", where)
		found = config.Default()
	case apierrors.IsForbidden(err):
		a.notice("You may not get %s, so defaults are taken for what it says; --mode and --trust-domain say other.", where)
		found = config.Default()
	default:
		return nil, fmt.Errorf("context %s: %w", cluster.Name(), err)
	}
	flags, err := a.Config()
	if err != nil {
		return nil, err
	}
	if a.meaning.set("trust-domain") {
		found.TrustDomain = flags.TrustDomain
	}
	if a.meaning.set("mode") {
		found.Mode = flags.Mode
	}
	return found, nil
}

// manyObjects is how many are read before anybody is told that it goes on.
const manyObjects = 500

// reading shows on a terminal how far a long list is.
func (a *App) reading() func(kind string, n int) {
	file, ok := a.Err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || a.Getenv("TERM") == "dumb" {
		return nil
	}
	total := map[string]int{}
	return func(kind string, n int) {
		total[kind] = n
		sum := 0
		for _, n := range total {
			sum += n
		}
		if sum >= manyObjects {
			fmt.Fprintf(a.Err, "\r\x1b[Kreading: %d objects, %s\r", sum, kind)
		}
	}
}

// readable403 tells who may not read a cluster what they lack, and what they can do
// without it.
func readable403(err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsForbidden(status) {
		return err
	}
	return fmt.Errorf("%w\nThe meaning of a mesh is in all of its namespaces, so its objects have to be listed in all of them: "+
		"ask for the permissions of docs/cli.md, or read manifests with -f", err)
}
