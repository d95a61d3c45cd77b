package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/report"
	"github.com/smi-project/smi/internal/kube/portforward"
)

// Options say where to run and with what.
type Options struct {
	// Config reaches the cluster.
	Config *rest.Config
	// Platform names the cluster for the report, such as its context.
	Platform string
	Profile  *Profile
	// Image is that of the sample service, which nodes can pull or have.
	Image string
	// Forge has the run sign certificates with the key of the mesh's own authority,
	// which it reads from the Secret that the profile names, to see that those are
	// refused that must be. It is for clusters where that key guards nothing.
	Forge bool
	// SettleTime bounds the wait after a change, which may be one of workloads,
	// StartTime the wait for the first workloads; two and five minutes if zero.
	SettleTime, StartTime time.Duration
}

// Target is a mesh on a cluster.
type Target struct {
	options Options
	dynamic dynamic.Interface
	core    kubernetes.Interface
	mapper  meta.ResettableRESTMapper
	applied *applied
	// pods are those of the last look, without versions.
	pods      map[Seen]bool
	unsettled unsettled
	forward   *portforward.Forwards
}

var (
	_ conformance.Target        = (*Target)(nil)
	_ conformance.DenialCounter = (*Target)(nil)
)

// New connects to a cluster. It refuses one that has the suite's namespaces already,
// since Close would remove what somebody else may need. The target is a *Target, or
// one that is a conformance.Forger besides.
func New(ctx context.Context, o Options) (conformance.Target, error) {
	t, err := connect(o)
	if err != nil {
		return nil, err
	}
	if err := t.refuseOccupied(ctx); err != nil {
		return nil, err
	}
	if !o.Forge {
		return t, nil
	}
	return t.forging(ctx)
}

func connect(o Options) (*Target, error) {
	if o.SettleTime == 0 {
		o.SettleTime = 2 * time.Minute
	}
	if o.StartTime == 0 {
		o.StartTime = 5 * time.Minute
	}
	// The suite sends many small requests, one after the other.
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = 200, 400
	o.Config = config
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	t := &Target{options: o, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found)), applied: newApplied(), unsettled: unsettled{}}
	if t.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if t.core, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	t.forward, err = portforward.New(config)
	return t, err
}

func (t *Target) refuseOccupied(ctx context.Context) error {
	for _, name := range conformance.Namespaces() {
		_, err := t.core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return fmt.Errorf("the cluster has a namespace %s already, which the suite makes and removes; delete it if an earlier run has left it", name)
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("the cluster cannot be asked: %w", err)
		}
	}
	return nil
}

// Describe names the mesh, with the version of its control plane's image.
func (t *Target) Describe(ctx context.Context) (report.Mesh, string, error) {
	p := t.options.Profile
	mesh := report.Mesh{Name: p.Name, Version: "unknown", Unverified: p.Verified == ""}
	version, err := t.core.Discovery().ServerVersion()
	if err != nil {
		return mesh, "", fmt.Errorf("the cluster's version: %w", err)
	}
	platform := "Kubernetes " + version.GitVersion
	if t.options.Platform != "" {
		platform += ", " + t.options.Platform
	}
	if p.Deployment == "" {
		return mesh, platform, nil
	}
	d, err := t.core.AppsV1().Deployments(p.Namespace).Get(ctx, p.Deployment, metav1.GetOptions{})
	if err != nil {
		return mesh, "", fmt.Errorf("the control plane of %s: %w", p.Name, err)
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		if _, tag, ok := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":"); ok {
			mesh.Version = tag
			break
		}
	}
	return mesh, platform, nil
}

// Apply makes the objects those of the cluster, and waits until workloads run and
// every proxy follows.
func (t *Target) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	bound := t.options.SettleTime
	if t.applied.empty() {
		bound = t.options.StartTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not within %s", bound))
	defer cancel()
	for _, o := range objects {
		t.options.adapt(o)
	}
	if err := t.become(ctx, objects); err != nil {
		return err
	}
	if err := t.rollOut(ctx); err != nil {
		return err
	}
	return t.settle(ctx)
}

// Dial connects to the driver of a workload, which listens on its pod's loopback.
func (t *Target) Dial(ctx context.Context, workload string) (net.Conn, error) {
	namespace, name, _ := strings.Cut(workload, "/")
	pod, err := t.podOf(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return t.forward.Dial(ctx, namespace, pod, driverPort)
}

// podOf is a running pod of a Deployment.
func (t *Target) podOf(ctx context.Context, namespace, deployment string) (string, error) {
	d, err := t.core.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return "", err
	}
	pods, err := t.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return "", err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no pod of %s/%s runs", namespace, deployment)
}

// Reach is where everybody finds a Service on a cluster: at its full name.
func (t *Target) Reach(_ context.Context, host string, port uint16) (string, uint16, error) {
	if strings.Count(host, ".") == 1 {
		host += ".svc." + t.options.Profile.Domain
	}
	return host, port, nil
}

// Close removes the suite's namespaces, with all that is in them, and waits until
// they are gone.
func (t *Target) Close(ctx context.Context) error {
	t.forward.Close()
	var failed []error
	for _, name := range conformance.Namespaces() {
		err := t.core.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.options.StartTime, fmt.Errorf("not within %s", t.options.StartTime))
	defer cancel()
	for _, name := range conformance.Namespaces() {
		failed = append(failed, eventually(ctx, "namespace "+name+" is removed", func() (string, error) {
			_, err := t.core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return "", nil
			}
			return "it is still there", err
		}))
	}
	return errors.Join(failed...)
}

// pause is how long to wait before something is asked once more.
const pause = 100 * time.Millisecond

// eventually asks until nothing lacks any more. The error says what did, in the end.
func eventually(ctx context.Context, what string, ask func() (lack string, err error)) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		lack, err := ask()
		if err == nil && lack == "" {
			return nil
		}
		if err != nil && lack == "" {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %s", what, context.Cause(ctx), lack)
		}
	}
}
