//go:build linux

package standalone

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/report"
	"github.com/smi-project/smi/internal/local"
	"github.com/smi-project/smi/internal/source/file"
)

// Options say what to run.
type Options struct {
	// Envoy and Sample are paths of executables; Sample is the sample service.
	Envoy, Sample string
	// Version is that of the program, for the report.
	Version string
	// Line, where set, takes what the runtime and its pods print.
	Line func(source, text string)
}

// Target is a standalone mesh under test.
type Target struct {
	options Options
	dir     string
	rt      *local.Runtime
	results chan *file.Result
	stop    context.CancelFunc
	ended   chan error

	mu sync.Mutex
	// applied are the objects of the last Apply, which nobody changes.
	applied []*unstructured.Unstructured
}

var _ conformance.Target = (*Target)(nil)

// The bounds of waiting, for slow machines too.
const (
	startTime  = 2 * time.Minute
	settleTime = 30 * time.Second
)

// Start runs a mesh without workloads. Close ends it.
func Start(ctx context.Context, options Options) (*Target, error) {
	dir, err := os.MkdirTemp("", "smi-conformance-")
	if err != nil {
		return nil, err
	}
	t := &Target{options: options, dir: dir, results: make(chan *file.Result), ended: make(chan error, 1)}
	t.rt, err = local.New(local.Options{
		Envoy: options.Envoy, AdminSocket: filepath.Join(dir, "admin.sock"), Line: options.Line,
		Commands: local.Commands{"smi-sample": {options.Sample}}, Follow: t.follow,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, t.stop = context.WithCancel(ctx)
	go func() { t.ended <- t.rt.Run(ctx) }()
	return t, nil
}

// follow tells the runtime what was applied.
func (t *Target) follow(ctx context.Context, changed func(*file.Result)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case result := <-t.results:
			changed(result)
		}
	}
}

// Describe names the mesh.
func (t *Target) Describe(context.Context) (report.Mesh, string, error) {
	return report.Mesh{Name: "SMI", Version: t.options.Version}, "standalone", nil
}

// Apply replaces what the mesh runs by, and waits until every sidecar follows.
func (t *Target) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	bound := settleTime
	if t.objects() == nil {
		bound = startTime
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var text bytes.Buffer
	for _, o := range objects {
		document, err := json.Marshal(o)
		if err != nil {
			return err
		}
		// The driver listens where no sidecar stands in front of it.
		fmt.Fprintf(&text, "---\n%s\n", bytes.ReplaceAll(document, []byte("$(CONTROL)"), []byte("$(POD_IP):7999")))
	}
	result, err := file.Load([]string{"-"}, file.Options{Input: &text})
	if err != nil {
		return err
	}
	select {
	case t.results <- result:
	case err := <-t.ended:
		t.ended <- err
		return fmt.Errorf("the mesh has ended: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	t.applied = objects
	t.mu.Unlock()
	return t.rt.SettleOn(ctx, result)
}

// objects are those of the last Apply.
func (t *Target) objects() []*unstructured.Unstructured {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applied
}

// driverPort is where the driver of a workload listens, at its own address.
const driverPort = 7999

// Dial connects to a workload's driver.
func (t *Target) Dial(ctx context.Context, workload string) (net.Conn, error) {
	pod, err := t.pod(workload)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", pod.Address, driverPort))
}

func (t *Target) pod(workload string) (*local.PodStatus, error) {
	status := t.rt.Status()
	for i, p := range status.Pods {
		if p.Namespace+"/"+p.Workload == workload {
			return &status.Pods[i], nil
		}
	}
	return nil, fmt.Errorf("no workload %s runs", workload)
}

// Reach finds the sidecar of a pod of the Service, which is where a client
// without the mesh's help arrives, or the pod itself where it has none.
func (t *Target) Reach(_ context.Context, host string, port uint16) (string, uint16, error) {
	name, namespace, _ := strings.Cut(host, ".")
	for _, o := range t.objects() {
		if o.GetKind() != "Service" || o.GetName() != name || o.GetNamespace() != namespace {
			continue
		}
		service := new(corev1.Service)
		if err := convert(o, service); err != nil {
			return "", 0, err
		}
		for _, p := range service.Spec.Ports {
			if p.Port != int32(port) {
				continue
			}
			pod, err := t.backing(namespace, service.Spec.Selector)
			if err != nil {
				return "", 0, fmt.Errorf("service %s: %w", host, err)
			}
			return cmp.Or(pod.SidecarAddress, pod.Address), uint16(p.TargetPort.IntValue()), nil
		}
	}
	return "", 0, fmt.Errorf("there is no Service %s with port %d", host, port)
}

// backing is a pod that the selector selects.
func (t *Target) backing(namespace string, selector map[string]string) (*local.PodStatus, error) {
	for _, o := range t.objects() {
		if o.GetKind() != "Deployment" || o.GetNamespace() != namespace {
			continue
		}
		set, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
		if err != nil {
			return nil, err
		}
		if labels.SelectorFromSet(selector).Matches(labels.Set(set)) {
			return t.pod(namespace + "/" + o.GetName())
		}
	}
	return nil, errors.New("no workload stands behind it")
}

func convert(o *unstructured.Unstructured, into any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// Denials counts what a workload's sidecar refused another's account, or what the
// caller's own refused for want of any grant. Accounts are told by the Services in
// front of them, which bear their names.
func (t *Target) Denials(_ context.Context, source, destination string) (int, error) {
	count := 0
	for _, d := range t.rt.Status().Denials {
		if d.Source == source && serviceOf(d.Destination) == destination {
			count += int(d.Count)
		}
	}
	return count, nil
}

// serviceOf reads "namespace/name" out of what a denial's destination is called:
// "namespace/name:port", or a host by which the caller asked for it.
func serviceOf(destination string) string {
	destination, _, _ = strings.Cut(destination, ":")
	if strings.Contains(destination, "/") {
		return destination
	}
	name, rest, _ := strings.Cut(destination, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	return namespace + "/" + name
}

// Close ends the mesh and all of its processes.
func (t *Target) Close(context.Context) error {
	t.stop()
	err := <-t.ended
	return errors.Join(err, os.RemoveAll(t.dir))
}
