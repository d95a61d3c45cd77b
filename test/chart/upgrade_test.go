package chart

import (
	"path/filepath"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/kube/kubetest"
)

// TestUpgradeKeepsWhatTheControllerWrote installs and upgrades with Helm on a real
// API server. Nothing runs pods there, so the hooks are left out.
func TestUpgradeKeepsWhatTheControllerWrote(t *testing.T) {
	config := kubetest.Start(t)
	admin := kubetest.Client(t, config)
	kubeconfig := write(t, config)
	run := func(args ...string) {
		t.Helper()
		_, problems, err := helm(t, append(args, "--kubeconfig", kubeconfig, "--namespace", system, "--no-hooks")...)
		if err != nil {
			t.Fatalf("helm %v: %v: %s", args, err, problems)
		}
	}
	run("install", "smi", folder, "--create-namespace", "--dry-run=server")
	run("install", "smi", folder, "--create-namespace")

	// As the leading controller does it.
	hooks := injector(t, admin)
	before := hooks.DeepCopy()
	bundle := config.CAData
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ClientConfig.CABundle = bundle
	}
	patch := client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})
	if err := admin.Patch(t.Context(), hooks, patch, client.FieldOwner("smi-controller")); err != nil {
		t.Fatal(err)
	}

	run("upgrade", "smi", folder, "--set", "highAvailability=true,config.exclude.namespaces={monitoring}")
	upgraded := injector(t, admin)
	for _, hook := range upgraded.Webhooks {
		if string(hook.ClientConfig.CABundle) != string(bundle) {
			t.Errorf("the upgrade has changed caBundle of %s", hook.Name)
		}
	}
	if upgraded.Generation == hooks.Generation {
		t.Error("the upgrade has changed nothing at all")
	}

	run("uninstall", "smi")
	for _, kind := range []string{"MutatingWebhookConfiguration", "ClusterRole", "ClusterRoleBinding", "Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy"} {
		for key, object := range objects(t, "--set", "highAvailability=true") {
			if object.GetKind() != kind || object.GetAnnotations()["helm.sh/hook"] != "" {
				continue
			}
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(object), object); client.IgnoreNotFound(err) != nil || err == nil {
				t.Errorf("%s is left: %v", key, err)
			}
		}
	}
	var secrets corev1.SecretList
	if err := admin.List(t.Context(), &secrets, client.InNamespace(system)); err != nil || len(secrets.Items) > 0 {
		t.Errorf("Secrets are left: %d (%v)", len(secrets.Items), err)
	}
}

func injector(t *testing.T, c client.Client) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	found := &admissionv1.MutatingWebhookConfiguration{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "smi-injector"}, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// write writes how to reach an API server into a kubeconfig.
func write(t *testing.T, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{"test": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
