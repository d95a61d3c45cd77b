//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestInjection sees which pods get a sidecar, by the API server's own admission.
func TestInjection(t *testing.T) {
	here.namespace(t, "e2e-in", meshed())
	here.namespace(t, "e2e-out", nil)
	for name, test := range map[string]struct {
		namespace, label string
		meshed           bool
	}{
		"a namespace that opted in":             {"e2e-in", "", true},
		"a pod that stays out":                  {"e2e-in", "disabled", false},
		"a namespace that did not":              {"e2e-out", "", false},
		"a pod that opted in by itself":         {"e2e-out", "enabled", true},
		"the cluster's own namespace stays out": {"kube-system", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podOf(t, `{containers: [{name: app, image: x}]}`)
			if test.label != "" {
				pod.Labels = map[string]string{"smi-spec.io/inject": test.label}
			}
			got, err := here.dryRun(t.Context(), test.namespace, pod)
			if err != nil {
				t.Fatal(err)
			}
			if has := len(got.Spec.InitContainers) > 0; has != test.meshed {
				t.Errorf("it has the init containers %v", got.Spec.InitContainers)
			}
		})
	}
}

// TestRefusedInjection sees that a pod that cannot be in the mesh does not start
// unguarded, and that its author learns what to do.
func TestRefusedInjection(t *testing.T) {
	here.namespace(t, "e2e-refused", meshed())
	restricted := meshed()
	restricted["pod-security.kubernetes.io/enforce"] = "restricted"
	here.namespace(t, "e2e-restricted", restricted)
	for name, test := range map[string]struct{ namespace, spec, want string }{
		"host network":      {"e2e-refused", `{hostNetwork: true, containers: [{name: app, image: x}]}`, "hostNetwork"},
		"the proxy's user":  {"e2e-refused", `{containers: [{name: app, image: x, securityContext: {runAsUser: 1337}}]}`, "1337"},
		"NET_ADMIN":         {"e2e-refused", `{containers: [{name: app, image: x, securityContext: {capabilities: {add: [NET_ADMIN]}}}]}`, "NET_ADMIN"},
		"privileged":        {"e2e-refused", `{containers: [{name: app, image: x, securityContext: {privileged: true}}]}`, "privileged"},
		"a sidecar's port":  {"e2e-refused", `{containers: [{name: app, image: x, ports: [{containerPort: 15006}]}]}`, "15006"},
		"restricted levels": {"e2e-restricted", `{containers: [{name: app, image: x}]}`, "restricted"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := here.dryRun(t.Context(), test.namespace, podOf(t, test.spec))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "smi") {
				t.Errorf("%v; wanted %q in it", err, test.want)
			}
		})
	}
}

func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	return pod
}

// dryRun has the API server admit a pod without making it.
func (c *cluster) dryRun(ctx context.Context, namespace string, pod *corev1.Pod) (*corev1.Pod, error) {
	return c.core.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
