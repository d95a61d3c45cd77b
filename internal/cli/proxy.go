package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/kube/container"
	"github.com/smi-project/smi/internal/sidecar"
)

func proxyCommand(app *App) *cobra.Command {
	cmd := groupCommand(&cobra.Command{
		Use:   "proxy",
		Short: "Look into the sidecar of a pod",
		Long: `Look into the sidecar of a pod on a cluster: what its Envoy is told, what the
sidecar logs, and how much of it. config and log-level take the permission to
run commands in the pod (create pods/exec), logs that to read its logs (get
pods/log).

Exit codes: 0 done; 2 the arguments make no sense, or the pod cannot be asked.`,
		Example: `  smi proxy config web-5d4f
  smi proxy logs web-5d4f`,
	})
	cmd.AddCommand(proxyConfig(app), proxyLogLevel(app), proxyLogs(app))
	return cmd
}

// proxyFlags say which pod is meant.
type proxyFlags struct {
	connection kube.Connection
	namespace  string
}

// register adds the flags, and completes the first argument by the meshed pods.
func (f *proxyFlags) register(cmd *cobra.Command) {
	addConnectionFlags(cmd, &f.connection)
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` of the pod (default the context's)")
	completeFlag(cmd, "namespace", completeNamespaces(&f.connection))
	cmd.ValidArgsFunction = completePods(&f.connection, &f.namespace)
}

// onePod wants the pod, and at most so many arguments more.
func onePod(more int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return UsageErrorf("which pod? its name is missing")
		case len(args) > 1+more:
			return UsageErrorf("the argument %q is not expected", args[1+more])
		}
		return nil
	}
}

// sidecarOf is the sidecar of a pod, which may be written pod/NAME.
func (f *proxyFlags) sidecarOf(ctx context.Context, pod string) (*container.Container, error) {
	cluster, err := f.connection.Cluster()
	if err != nil {
		return nil, err
	}
	c := &container.Container{
		Cluster: cluster, Namespace: cmp.Or(f.namespace, cluster.Namespace), Name: sidecar.Container,
		Pod: strings.TrimPrefix(strings.TrimPrefix(pod, "pods/"), "pod/"),
	}
	found, err := c.Get(ctx)
	if err != nil {
		return nil, err
	}
	if !sidecar.Meshed(found) {
		return nil, fmt.Errorf("pod %s/%s has no sidecar: it is not in the mesh", c.Namespace, c.Pod)
	}
	return c, nil
}

// ask runs the sidecar's own program in it. One of an earlier release may not know
// the command.
func ask(ctx context.Context, c *container.Container, args ...string) ([]byte, error) {
	out, err := c.Run(ctx, append([]string{"smi", "agent"}, args...)...)
	var failed *container.ExitError
	if errors.As(err, &failed) {
		return nil, fmt.Errorf("the sidecar of pod %s/%s: %s", c.Namespace, c.Pod, strings.TrimPrefix(failed.Error(), "error: "))
	}
	return out, err
}

func proxyLogLevel(app *App) *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "log-level POD [debug|info|warn|error]",
		Short: "Show or change what a sidecar logs",
		Long: `Show or change what a sidecar logs, while it runs. A restart of the pod takes it
back to what the controller's configuration says.

Exit codes: 0 done; 2 the arguments make no sense, or the pod cannot be asked.`,
		Example: `  smi proxy log-level web-5d4f -n shop debug`,
		Args:    onePod(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.sidecarOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			level, err := ask(cmd.Context(), c, append([]string{"log-level"}, args[1:]...)...)
			if err == nil {
				app.line(strings.TrimSpace(string(level)))
			}
			return err
		},
	}
	f.register(cmd)
	return cmd
}

func proxyLogs(app *App) *cobra.Command {
	var (
		f       proxyFlags
		options container.LogOptions
		access  bool
	)
	cmd := &cobra.Command{
		Use:   "logs POD",
		Short: "Print what a sidecar logs",
		Long: `Print what a sidecar logs, or with --access its lines about requests and
connections alone, which it writes where the controller's configuration says
accessLog: true.

Exit codes: 0 done; 2 the arguments make no sense, or the pod cannot be asked.`,
		Example: `  smi proxy logs web-5d4f -n shop -f

  # Requests and connections, by both sides
  smi proxy logs web-5d4f -n shop -f --access`,
		Args: onePod(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.sidecarOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			stream, err := c.Logs(cmd.Context(), options)
			if err != nil {
				return err
			}
			defer stream.Close()
			err = app.copyLines(stream, access)
			if cmd.Context().Err() != nil {
				return nil // somebody has seen enough
			}
			return err
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&options.Follow, "follow", "f", false, "go on until interrupted")
	flags.BoolVarP(&options.Previous, "previous", "p", false, "print the log before the sidecar's last restart")
	flags.Int64Var(&options.Tail, "tail", -1, "print the last `LINES` of what is there")
	flags.BoolVar(&access, "access", false, "print the lines about requests and connections alone")
	return cmd
}

// maxLine bounds a line of a log, in bytes.
const maxLine = 1 << 20

// copyLines prints lines so that none can command a terminal. With access it prints
// those of the access log alone.
func (a *App) copyLines(from io.Reader, access bool) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		if access {
			told, ok := accessLine(line)
			if !ok {
				continue
			}
			line = told
		}
		a.line(line)
	}
	return lines.Err()
}

// accessLine is what a line of the log says of a request or a connection: JSON that
// names the side. The agent may have put it into the message of a line of its own.
func accessLine(line string) (string, bool) {
	var fields struct {
		Side    string `json:"side"`
		Message string `json:"msg"`
	}
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &fields) != nil {
		return "", false
	}
	if fields.Side != "" {
		return line, true
	}
	return accessLine(fields.Message)
}
