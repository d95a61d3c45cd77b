// Package container runs commands in containers of pods and reads their logs, by the
// API server, as kubectl exec and kubectl logs do. It knows nothing of meshes.
package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // client-go takes and gives this one
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/smi-project/smi/internal/kube"
)

// Container is one of a pod's.
type Container struct {
	Cluster              *kube.Cluster
	Namespace, Pod, Name string
}

// Get reads the pod. The error says where it was looked for.
func (c *Container) Get(ctx context.Context) (*corev1.Pod, error) {
	client, err := c.Cluster.Clientset()
	if err != nil {
		return nil, err
	}
	pod, err := client.CoreV1().Pods(c.Namespace).Get(ctx, c.Pod, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("namespace %s of context %s has no pod %s; -n names another namespace", c.Namespace, c.Cluster.Name(), c.Pod)
	}
	return pod, err
}

// ExitError tells that the command ran and failed.
type ExitError struct {
	Code int
	// Said is what it wrote to its standard error.
	Said string
}

func (e *ExitError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("the command ended with code %d", e.Code)
	}
	return e.Said
}

// maxSaid bounds what is kept of a command's standard error, in bytes.
const maxSaid = 16 << 10

// Run runs a command without a terminal and returns what it writes to its standard
// output. A command that fails leads to an *ExitError.
func (c *Container) Run(ctx context.Context, command ...string) ([]byte, error) {
	client, err := c.Cluster.Clientset()
	if err != nil {
		return nil, err
	}
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.Namespace).Name(c.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: c.Name, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	// WebSocket, and SPDY with API servers and proxies that know no other.
	socket, err := remotecommand.NewWebSocketExecutor(c.Cluster.Config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	old, err := remotecommand.NewSPDYExecutor(c.Cluster.Config, "POST", url)
	if err != nil {
		return nil, err
	}
	executor, err := remotecommand.NewFallbackExecutor(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &said})
	var code interface{ ExitStatus() int }
	switch {
	case errors.As(err, &code):
		return nil, &ExitError{Code: code.ExitStatus(), Said: strings.TrimSpace(string(said.Bytes()[:min(said.Len(), maxSaid)]))}
	case err != nil:
		return nil, fmt.Errorf("run %s in container %s of pod %s/%s: %w", command[0], c.Name, c.Namespace, c.Pod, err)
	}
	return out.Bytes(), nil
}

// LogOptions say which part of a log is read.
type LogOptions struct {
	// Follow goes on until the context ends, or the container does.
	Follow bool
	// Tail is how many lines are read of what is there; all if negative.
	Tail int64
	// Previous reads the log of the container before its last restart.
	Previous bool
}

// Logs opens the log of the container.
func (c *Container) Logs(ctx context.Context, o LogOptions) (io.ReadCloser, error) {
	client, err := c.Cluster.Clientset()
	if err != nil {
		return nil, err
	}
	options := &corev1.PodLogOptions{Container: c.Name, Follow: o.Follow, Previous: o.Previous}
	if o.Tail >= 0 {
		options.TailLines = &o.Tail
	}
	return client.CoreV1().Pods(c.Namespace).GetLogs(c.Pod, options).Stream(ctx)
}
