package inject_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/kube/kubetest"
)

// TestAPIServerTakesInjectedPods creates the pods of all cases after injection,
// dry. The API server must not refuse them, and what it fills in must not make a
// second injection change anything.
func TestAPIServerTakesInjectedPods(t *testing.T) {
	api := kubetest.Client(t, kubetest.Start(t))
	for _, name := range []string{"shop", "smi-system"} {
		if err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	injector := newInjector(t, options())
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			namespace, pod := readCase(t, folder)
			// The webhook sees pods whose defaults are filled in, and whose account is.
			if pod.Spec.ServiceAccountName == "" {
				pod.Spec.ServiceAccountName = "default"
			}
			if err := api.Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Fatalf("the case itself is refused: %v", err)
			}
			once, err := injector.Inject(namespace, pod)
			if err != nil {
				t.Fatal(err)
			}
			stored := once.DeepCopy()
			stored.ResourceVersion, stored.UID = "", ""
			if err := api.Create(t.Context(), stored, client.DryRunAll); err != nil {
				t.Fatalf("the injected pod is refused: %v", err)
			}
			twice, err := injector.Inject(namespace, stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(stored.Spec, twice.Spec); diff != "" {
				t.Errorf("a second injection sets back what the API server has filled in (-stored +twice):\n%s", diff)
			}
			if diff := cmp.Diff(stored.Annotations, twice.Annotations); diff != "" {
				t.Errorf("a second injection changes annotations (-stored +twice):\n%s", diff)
			}
		})
	}
}
