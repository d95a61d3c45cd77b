//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/conformance/driver"
)

// patience bounds the wait for a condition, on a machine that is busy with other
// things.
const patience = 2 * time.Minute

// eventually asks until nothing lacks any more, and fails the test with what does.
func eventually(t *testing.T, what string, ask func(ctx context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		lack := ask(ctx)
		if lack == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s: %s", patience, what, lack)
		}
	}
}

// namespace makes a namespace for the test, with those labels, and removes it in the
// end.
func (c *cluster) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.core.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := c.core.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
}

// meshed are the labels of a namespace whose pods are in the mesh.
func meshed() map[string]string { return map[string]string{"smi-spec.io/inject": "enabled"} }

// apply applies YAML, with $IMAGE for that of the sample service.
func (c *cluster) apply(t *testing.T, text string) {
	t.Helper()
	if err := c.tryApply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) tryApply(ctx context.Context, text string) error {
	objects, err := c.objects(text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("smi-e2e"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("%s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
		}
	}
	return nil
}

func (c *cluster) objects(text string) ([]*unstructured.Unstructured, error) {
	text = strings.ReplaceAll(text, "$IMAGE", c.image("smi-sample"))
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	var objects []*unstructured.Unstructured
	for {
		o := new(unstructured.Unstructured)
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// running waits until every Deployment and StatefulSet of the namespaces runs as it
// is written, its old pods gone from Services.
func (c *cluster) running(t *testing.T, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		eventually(t, "the workloads of "+namespace+" run", func(ctx context.Context) string {
			deployments, err := c.core.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			sets, err := c.core.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			var lack []string
			for i := range deployments.Items {
				lack = append(lack, deploymentLacks(&deployments.Items[i])...)
			}
			for i := range sets.Items {
				s := &sets.Items[i]
				if s.Status.ObservedGeneration < s.Generation || s.Status.ReadyReplicas != *s.Spec.Replicas || s.Status.UpdatedReplicas != *s.Spec.Replicas {
					lack = append(lack, fmt.Sprintf("%s: %d of %d ready", s.Name, s.Status.ReadyReplicas, *s.Spec.Replicas))
				}
			}
			return strings.Join(lack, "; ")
		})
	}
}

func deploymentLacks(d *appsv1.Deployment) []string {
	s, wanted := d.Status, *d.Spec.Replicas
	if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == wanted && s.Replicas == wanted && s.ReadyReplicas == wanted {
		return nil
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure {
			return []string{d.Name + ": " + c.Message}
		}
	}
	return []string{fmt.Sprintf("%s: %d of %d ready", d.Name, s.ReadyReplicas, wanted)}
}

// pods are the living pods that a selector selects.
func (c *cluster) pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := c.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var living []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			living = append(living, p)
		}
	}
	return living, nil
}

// pod is the first living pod that a selector selects.
func (c *cluster) pod(t *testing.T, namespace, selector string) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	eventually(t, "a pod "+selector+" runs in "+namespace, func(ctx context.Context) string {
		living, err := c.pods(ctx, namespace, selector)
		if err != nil {
			return err.Error()
		}
		if len(living) == 0 {
			return "there is none"
		}
		found = &living[0]
		return ""
	})
	return found
}

// controlPort is where the drivers of the test's workloads listen, at their pods'
// loopback.
const controlPort = 7999

// sender gives orders to the driver of a workload, told by its label app.
func (c *cluster) sender(t *testing.T, namespace, app string) *sender {
	t.Helper()
	pod := c.pod(t, namespace, "app="+app)
	client := driver.NewClient(func(ctx context.Context) (net.Conn, error) {
		return c.forward.Dial(ctx, namespace, pod.Name, controlPort)
	})
	t.Cleanup(client.Close)
	return &sender{client: client, name: namespace + "/" + app}
}

// sender is a workload that sends what a test tells it to.
type sender struct {
	client *driver.Client
	name   string
}

// send sends a request once and says what came, in a word or two.
func (s *sender) send(t *testing.T, r driver.Request) string {
	t.Helper()
	got, err := s.client.Send(t.Context(), &r)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, r.String(), err)
	}
	return got.First.Word()
}

// gets expects an answer, once the mesh has followed.
func (s *sender) gets(t *testing.T, want string, r driver.Request) {
	t.Helper()
	s.getsAny(t, []string{want}, r)
}

// getsAny expects one of several answers, once the mesh has followed.
func (s *sender) getsAny(t *testing.T, want []string, r driver.Request) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s: %s gives %q", s.name, r.String(), want), func(context.Context) string {
		if got := s.send(t, r); !slices.Contains(want, got) {
			return fmt.Sprintf("it gives %q", got)
		}
		return ""
	})
}

// get is a GET request to a Service.
func get(host string, port uint16, path string) driver.Request {
	return driver.Request{Host: host, Port: port, Path: path}
}

// tcp is a connection to a Service.
func tcp(host string, port uint16) driver.Request {
	return driver.Request{Protocol: driver.TCP, Host: host, Port: port}
}
