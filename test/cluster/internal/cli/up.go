package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/test/cluster/internal/build"
	"github.com/smi-project/smi/test/cluster/internal/host"
	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/node"
	"github.com/smi-project/smi/test/cluster/internal/spec"
)

func (a *app) upCommand() *cobra.Command {
	var controlPlaneOnly bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster and wait until it works",
		Long: `Start the cluster and wait until it works: the node is ready, names are answered,
and pods can be started. What is not built yet is built first. Where the cluster is
up already, it is left as it is. What a crash has left of it is removed first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.up(cmd.Context(), controlPlaneOnly, timeout)
		},
	}
	cmd.Flags().BoolVar(&controlPlaneOnly, "control-plane-only", false, "start etcd and kube-apiserver only, for tests of the API")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Minute, "how long to wait for the cluster to work, once it is built")
	return cmd
}

func (a *app) up(ctx context.Context, controlPlaneOnly bool, timeout time.Duration) error {
	cache, err := a.programs()
	if err != nil {
		return err
	}
	machine, err := a.machine()
	if err != nil {
		return err
	}
	made, err := assemble(ctx, cache, controlPlaneOnly)
	if err != nil {
		return err
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	state, err := a.ensure(ctx, machine, host.Wish{
		Name: a.name, Cache: cache.Dir, Folders: made.folders, ControlPlaneOnly: controlPlaneOnly,
	})
	if err != nil {
		return err
	}
	dir, err := machine.Dir(a.name)
	if err != nil {
		return err
	}
	if err := finish(ctx, dir, state, made.images); err != nil {
		return fmt.Errorf("%w\nThe logs are in %s; cluster down removes what was started", err, dir.Logs())
	}
	say("%s is up after %s; export KUBECONFIG=%s", a.name, time.Since(begin).Round(time.Millisecond*100), dir.Kubeconfig())
	return nil
}

// assembly is everything that a cluster is started from.
type assembly struct {
	folders map[string]string
	images  []build.Image
}

// assemble builds what is not built yet.
func assemble(ctx context.Context, cache *build.Cache, controlPlaneOnly bool) (assembly, error) {
	if controlPlaneOnly {
		folders, err := cache.Ensure(ctx, build.ControlPlane...)
		return assembly{folders: folders}, err
	}
	if err := cache.InstallTools(ctx); err != nil {
		return assembly{}, err
	}
	folders, err := cache.Ensure(ctx)
	if err != nil {
		return assembly{}, err
	}
	images, err := cache.Images(ctx, folders)
	return assembly{folders: folders, images: images}, err
}

// ensure starts the node unless it runs, and removes first what is left of one
// that does not.
func (a *app) ensure(ctx context.Context, machine *host.Machine, wish host.Wish) (*host.State, error) {
	unlock, err := machine.Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	state, running, err := machine.Find(wish.Name)
	if err != nil {
		return nil, err
	}
	if running {
		if state.ControlPlaneOnly && !wish.ControlPlaneOnly {
			return nil, fmt.Errorf("the cluster %s is up with its control plane only; cluster down --name %s first", wish.Name, wish.Name)
		}
		for component, folder := range wish.Folders {
			if state.Folders[component] != folder {
				say("%s runs an older %s than this tree has; cluster down and up renews it", wish.Name, component)
			}
		}
		return state, nil
	}
	left, err := machine.Left(wish.Name)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		say("removing what is left of a cluster that has ended: %s and %d more", left[0], len(left)-1)
		if err := machine.Remove(ctx, wish.Name); err != nil {
			return nil, err
		}
	}
	say("starting %s", wish.Name)
	return machine.Start(wish)
}

// finish brings a node that runs to where it works.
func finish(ctx context.Context, dir layout.Dir, state *host.State, images []build.Image) error {
	if state.ControlPlaneOnly {
		return awaitReady(ctx, dir, state)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- loadOwn(ctx, dir, state, images) }()
	if err := awaitReady(ctx, dir, state, "kube-apiserver"); err != nil {
		return err
	}
	cluster := spec.Cluster{Name: state.Name, Plan: state.Plan, Folders: state.Folders}
	addons, err := cluster.Addons()
	if err != nil {
		return err
	}
	kubectl := func(input []byte, args ...string) error { return runKubectl(ctx, dir, state, input, args...) }
	if err := kubectl(addons, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	if err := errors.Join(awaitReady(ctx, dir, state), <-loaded); err != nil {
		return err
	}
	for _, wait := range [][]string{
		{"wait", "--for=create", "node/" + state.Name},
		{"wait", "--for=condition=Ready", "node/" + state.Name},
		{"wait", "--for=create", "serviceaccount/default", "--namespace=default"},
		{"rollout", "status", "deployment/coredns", "--namespace=kube-system"},
	} {
		if err := kubectl(nil, append(wait, "--timeout=180s")...); err != nil {
			return err
		}
	}
	return awaitNames(ctx, state.Plan.DNS())
}

// loadOwn loads the node's own images as soon as containerd is there.
func loadOwn(ctx context.Context, dir layout.Dir, state *host.State, images []build.Image) error {
	if err := awaitReady(ctx, dir, state, "containerd"); err != nil {
		return err
	}
	for _, image := range images {
		if _, err := load(ctx, dir, state, image.File); err != nil {
			return err
		}
	}
	return nil
}

// awaitEvery is how often the node is asked how it is.
const awaitEvery = 100 * time.Millisecond

// awaitReady waits until the named components are ready; without names, all.
// That one has ended is an error.
func awaitReady(ctx context.Context, dir layout.Dir, state *host.State, names ...string) error {
	client := node.NewClient(dir)
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	var last error
	for {
		statuses, err := client.Status(ctx)
		switch {
		case err == nil:
			if last = unready(statuses, names); last == nil {
				return nil
			}
			var ended endedError
			if errors.As(last, &ended) {
				return last
			}
		case !state.Process.Alive():
			return fmt.Errorf("the node has ended: %s", lastLine(dir.Log("node")))
		default:
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited long enough: %w", last)
		}
	}
}

// lastLine gives the last line of a log, or says why it cannot.
func lastLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// endedError names a component that has ended.
type endedError struct{ node.Status }

func (e endedError) Error() string {
	how := string(e.Phase)
	if e.Reason != "" {
		how += " (" + e.Reason + ")"
	}
	return fmt.Sprintf("%s is %s; cluster start %s starts it", e.Name, how, e.Name)
}

// unready says what one of the named components lacks, or one of all without
// names. One that has ended is named first: waiting for others is of no use then.
func unready(statuses []node.Status, names []string) error {
	var first error
	for _, status := range statuses {
		if len(names) > 0 && !slices.Contains(names, status.Name) {
			continue
		}
		switch status.Phase {
		case node.Ready:
		case node.Exited, node.Stopped:
			return endedError{status}
		default:
			if first == nil {
				first = fmt.Errorf("%s is %s", status.Name, status.Phase)
			}
		}
	}
	return first
}

// runKubectl runs the cluster's own kubectl as its administrator.
func runKubectl(ctx context.Context, dir layout.Dir, state *host.State, input []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(state.Folders["kubernetes"], "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+dir.Kubeconfig())
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
