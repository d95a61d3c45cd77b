package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/source/kube"
)

// cluster is an API server with its etcd: real ones, that know no kubelet, so that
// pods are what we say.
type cluster struct {
	environment *envtest.Environment
	client      ctrlclient.Client
	// dir holds kubeconfig, programs and logs.
	dir, kubeconfig string
}

// startPatience bounds the start and the end of an API server.
const startPatience = time.Minute

func startCluster() (*cluster, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS does not name a folder with kube-apiserver and etcd; make bench sets it, and by hand: " +
			"export KUBEBUILDER_ASSETS=$(cd ../test/cluster && go run . assets)")
	}
	log.SetLogger(logr.Discard())
	c := &cluster{environment: &envtest.Environment{ControlPlaneStartTimeout: startPatience, ControlPlaneStopTimeout: startPatience}}
	// As many Services as there may be do not fit into what is usual for tests.
	c.environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.96.0.0/16")
	config, err := c.environment.Start()
	if err != nil {
		return nil, fmt.Errorf("start an API server: %w", err)
	}
	if err := c.prepare(config); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) prepare(config *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), kube.AddToScheme(scheme)); err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	config.WarningHandler = rest.NoWarnings{}
	var err error
	if c.dir, err = os.MkdirTemp("", "smi-bench-"); err != nil {
		return err
	}
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(c.kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return err
	}
	c.client, err = ctrlclient.New(config, ctrlclient.Options{Scheme: scheme})
	return err
}

func (c *cluster) stop() {
	_ = c.environment.Stop()
	_ = os.RemoveAll(c.dir)
}

// create puts the world into the cluster, and says now and then how far it is.
func (c *cluster) create(ctx context.Context, w *kubeWorld, say func(string, ...any)) error {
	for _, namespace := range w.namespaces {
		if err := c.client.Create(ctx, namespace); err != nil {
			return err
		}
	}
	var done atomic.Int64
	all := len(w.objects) + len(w.pods)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	created := func(err error) error {
		if n := done.Add(1); err == nil && n%2000 == 0 {
			say("created %d of %d objects", n, all)
		}
		return err
	}
	for _, object := range w.objects {
		group.Go(func() error { return created(c.client.Create(ctx, object)) })
	}
	for _, pod := range w.pods {
		group.Go(func() error { return created(c.run(ctx, pod)) })
	}
	return group.Wait()
}

// run creates a pod and says, in a kubelet's place, that it runs.
func (c *cluster) run(ctx context.Context, pod *corev1.Pod) error {
	status := pod.Status
	if err := c.client.Create(ctx, pod); err != nil {
		return err
	}
	pod.Status = status
	return c.client.Status().Update(ctx, pod)
}

// reweigh gives a split other weights and returns when the API server has said
// that it has them.
func (c *cluster) reweigh(ctx context.Context, s *split.TrafficSplit, weight int) (time.Time, error) {
	backends := s.DeepCopy().Spec.Backends
	backends[0].Weight = weight
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"backends": backends}})
	if err != nil {
		return time.Time{}, err
	}
	err = c.client.Patch(ctx, &split.TrafficSplit{ObjectMeta: s.ObjectMeta}, ctrlclient.RawPatch(types.MergePatchType, patch))
	return time.Now(), err
}

// setReady says, in a kubelet's place, whether a pod is ready, and returns when the
// API server has said that it knows.
func (c *cluster) setReady(ctx context.Context, pod *corev1.Pod, ready bool) (time.Time, error) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":%q}]}}`, corev1.PodReady, status)
	err := c.client.Status().Patch(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}},
		ctrlclient.RawPatch(types.StrategicMergePatchType, []byte(patch)))
	return time.Now(), err
}

// authority is the certificate authority of the mesh, which an administrator may
// read: certificate and key, in PEM.
func (c *cluster) authority(ctx context.Context) (certificate, key []byte, err error) {
	var secret corev1.Secret
	if err := c.client.Get(ctx, ctrlclient.ObjectKey{Namespace: systemNamespace, Name: "smi-ca"}, &secret); err != nil {
		return nil, nil, err
	}
	return secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], nil
}
