package inject_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
)

// TestAPIServerInjectsOnCreation has an API server ask the handler, in a
// namespace with limits that its admission plugins fill in after the first run
// and insist on after the second.
func TestAPIServerInjectsOnCreation(t *testing.T) {
	api := kubetest.Client(t, kubetest.Start(t))
	injector := newInjector(t, options())
	hook := httptest.NewTLSServer(&admission.Webhook{Handler: injector.Handler(inject.ReadNamespaces(api))})
	t.Cleanup(hook.Close)
	namespace, _ := ordinary()
	cpu := corev1.ResourceList{"cpu": resource.MustParse("1")}
	for _, object := range []client.Object{
		namespace,
		&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "cpu", Namespace: "shop"}, Spec: corev1.LimitRangeSpec{
			Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: cpu, Default: cpu, DefaultRequest: cpu}},
		}},
		webhookAt(hook),
	} {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	create := func() (*corev1.Pod, error) {
		_, pod := ordinary()
		pod.Namespace, pod.Spec.ServiceAccountName = "shop", "default"
		return pod, api.Create(t.Context(), pod)
	}
	// The API server hears of a new webhook a moment later.
	var stored *corev1.Pod
	kubetest.Eventually(t, func(context.Context) error {
		pod, err := create()
		if err == nil && !sidecar.Meshed(pod) {
			err = errors.New("the pod has no sidecar")
		}
		stored = pod
		return err
	})
	limit := stored.Spec.InitContainers[1].Resources.Limits
	if got := limit["cpu"]; got.String() != "1" {
		t.Errorf("the sidecar has not the namespace's limit of CPU: %v", limit)
	}
	if got := limit["memory"]; got.String() != "256Mi" {
		t.Errorf("the sidecar has not its own limit of memory: %v", limit)
	}
	if *stored.Spec.TerminationGracePeriodSeconds != 35 {
		t.Errorf("the delay was not added once: %d s", *stored.Spec.TerminationGracePeriodSeconds)
	}
	// While nobody answers, nothing starts unguarded.
	hook.Close()
	if _, err := create(); err == nil || !strings.Contains(err.Error(), "inject.smi-spec.io") {
		t.Errorf("a pod is created while the webhook cannot be reached: %v", err)
	}
}

func webhookAt(server *httptest.Server) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "smi-injector"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "inject.smi-spec.io", AdmissionReviewVersions: []string{"v1"},
			SideEffects:        new(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:      new(admissionregistrationv1.Fail),
			ReinvocationPolicy: new(admissionregistrationv1.IfNeededReinvocationPolicy),
			NamespaceSelector:  &metav1.LabelSelector{MatchLabels: map[string]string{sidecar.LabelInject: sidecar.InjectEnabled}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
}
