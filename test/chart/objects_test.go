package chart

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/crds"
)

const everything = "testdata/everything/values.yaml"

// TestWebhookSelects asks the selectors of the webhooks as the API server does.
func TestWebhookSelects(t *testing.T) {
	t.Parallel()
	hooks := as[admissionv1.MutatingWebhookConfiguration](t, objects(t, "--values", everything), "MutatingWebhookConfiguration/smi-injector").Webhooks
	for _, test := range []struct {
		namespace, ofNamespace, ofPod string
		selected                      bool
	}{
		{"shop", "", "", false},
		{"shop", "enabled", "", true},
		{"shop", "enabled", "enabled", true},
		{"shop", "enabled", "disabled", false},
		{"shop", "enabled", "Disabled", true}, // unclear, so the injector decides
		{"shop", "disabled", "", false},
		{"shop", "disabled", "enabled", true},
		{"shop", "", "enabled", true},
		{"shop", "", "disabled", false},
		{"shop", "", "true", false},
		{"kube-system", "enabled", "enabled", false},
		{"kube-system", "", "enabled", false},
		{system, "enabled", "enabled", false},
		{system, "", "enabled", false},
		{"monitoring", "enabled", "enabled", false}, // config.exclude.namespaces
	} {
		selecting := 0
		for _, hook := range hooks {
			namespace := set(test.ofNamespace)
			namespace[corev1.LabelMetadataName] = test.namespace
			if matches(t, hook.NamespaceSelector, namespace) && matches(t, hook.ObjectSelector, set(test.ofPod)) {
				selecting++
			}
		}
		if want := map[bool]int{true: 1}[test.selected]; selecting != want {
			t.Errorf("a pod labelled %q in %s, labelled %q, is selected by %d webhooks, want %d",
				test.ofPod, test.namespace, test.ofNamespace, selecting, want)
		}
	}
	for _, hook := range hooks {
		if *hook.FailurePolicy != admissionv1.Fail || hook.ClientConfig.CABundle != nil || len(hook.Rules) != 1 || !slices.Equal(hook.Rules[0].Resources, []string{"pods"}) {
			t.Errorf("%s: it must fail closed, leave caBundle to the controller, and ask about pods alone", hook.Name)
		}
	}
}

func set(label string) labels.Set {
	if label == "" {
		return labels.Set{}
	}
	return labels.Set{"smi-spec.io/inject": label}
}

func matches(t *testing.T, selector *metav1.LabelSelector, of labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(of)
}

// TestPodsAreRestricted holds every pod of the chart to the restricted level.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	seen := 0
	for key, object := range objects(t, "--values", everything) {
		var spec corev1.PodSpec
		switch object.GetKind() {
		case "Deployment":
			spec = as[appsv1.Deployment](t, map[string]*unstructured.Unstructured{key: object}, key).Spec.Template.Spec
		case "Job":
			spec = as[batchv1.Job](t, map[string]*unstructured.Unstructured{key: object}, key).Spec.Template.Spec
		default:
			continue
		}
		seen++
		pod, container := spec.SecurityContext, spec.Containers[0].SecurityContext
		switch {
		case !*pod.RunAsNonRoot || *pod.RunAsUser != 65532 || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
			t.Errorf("%s: pod %v", key, pod)
		case *container.AllowPrivilegeEscalation || !*container.ReadOnlyRootFilesystem || !slices.Equal(container.Capabilities.Drop, []corev1.Capability{"ALL"}):
			t.Errorf("%s: container %v", key, container)
		case *spec.EnableServiceLinks || spec.HostNetwork || len(spec.Containers) != 1:
			t.Errorf("%s: %v", key, spec)
		case spec.Containers[0].Image != "registry.example.org/mesh/smi:v1.2.3":
			t.Errorf("%s: image %s", key, spec.Containers[0].Image)
		}
	}
	if seen != 5 {
		t.Errorf("%d pods, want those of the controller and of 4 Jobs", seen)
	}
}

// TestConfiguration lets the controller's own reader judge the file.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, values := range []string{"testdata/default/values.yaml", everything} {
		text := as[corev1.ConfigMap](t, objects(t, "--values", values), "ConfigMap/smi-controller-config").Data["config.yaml"]
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if c.Service != "smi-controller" {
			t.Errorf("the Service is %s", c.Service)
		}
		if values != everything {
			continue
		}
		image := config.Image{Registry: "registry.example.org/mesh", Name: "smi-proxy", Tag: "v1.2.3", PullPolicy: corev1.PullAlways, PullSecrets: []string{"pull-in-namespaces"}}
		if d := cmp.Diff(image, c.Image); d != "" {
			t.Error(d)
		}
		if c.TrustDomain != "mesh.example.org" || c.CA.Secret != "my-ca" {
			t.Errorf("%+v", c)
		}
	}
}

// TestPermissionsAreThoseOfTheList holds the chart to config/rbac.
func TestPermissionsAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	all := objects(t)
	for file, key := range map[string]string{"cluster-role.yaml": "ClusterRole/smi-controller", "role.yaml": "Role/smi-controller"} {
		text, err := os.ReadFile("../../config/rbac/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var want rbacv1.ClusterRole
		if err := yaml.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.Rules, as[rbacv1.ClusterRole](t, all, key).Rules); d != "" {
			t.Errorf("%s differs from config/rbac/%s (-list +chart):\n%s", key, file, d)
		}
	}
}

// TestNothingIsWild refuses wildcards, and rights over Secrets by anything but a
// name, in every role.
func TestNothingIsWild(t *testing.T) {
	t.Parallel()
	for key, object := range objects(t, "--values", everything) {
		if !strings.HasSuffix(object.GetKind(), "Role") {
			continue
		}
		for _, rule := range as[rbacv1.ClusterRole](t, map[string]*unstructured.Unstructured{key: object}, key).Rules {
			if strings.Contains(strings.Join(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), " "), "*") {
				t.Errorf("%s: %v", key, rule)
			}
			if slices.Contains(rule.Resources, "secrets") && len(rule.ResourceNames) == 0 && !slices.Equal(rule.Verbs, []string{"create"}) {
				t.Errorf("%s may %v every Secret", key, rule.Verbs)
			}
		}
	}
}

func TestHighAvailability(t *testing.T) {
	t.Parallel()
	one := objects(t)
	if *as[appsv1.Deployment](t, one, "Deployment/smi-controller").Spec.Replicas != 1 || one["PodDisruptionBudget/smi-controller"] != nil {
		t.Error("one controller has a budget that would keep its node from being emptied")
	}
	two := objects(t, "--set", "highAvailability=true")
	spec := as[appsv1.Deployment](t, two, "Deployment/smi-controller").Spec
	if *spec.Replicas != 2 || spec.Template.Spec.Affinity.PodAntiAffinity == nil || len(spec.Template.Spec.TopologySpreadConstraints) != 1 {
		t.Errorf("%d replicas, affinity %v, spread %v", *spec.Replicas, spec.Template.Spec.Affinity, spec.Template.Spec.TopologySpreadConstraints)
	}
	if two["PodDisruptionBudget/smi-controller"] == nil {
		t.Error("two controllers have no budget")
	}
}

// TestServesWhileItEnds: the API server goes on calling a controller that ends
// until it has heard. Kubernetes 1.29 would refuse the field.
func TestServesWhileItEnds(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"1.29.5": false, "1.30.0": true, "1.36.3-vendor.1": true} {
		pod := as[appsv1.Deployment](t, objects(t, "--kube-version", version), "Deployment/smi-controller").Spec.Template.Spec
		if got := pod.Containers[0].Lifecycle != nil; got != want {
			t.Errorf("on Kubernetes %s it waits: %v, want %v", version, got, want)
		}
	}
}

func TestNetworkPolicyPorts(t *testing.T) {
	t.Parallel()
	policy := as[networkingv1.NetworkPolicy](t, objects(t), "NetworkPolicy/smi-controller")
	var in, out []int
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			in = append(in, port.Port.IntValue())
		}
	}
	for _, rule := range policy.Spec.Egress {
		for _, port := range rule.Ports {
			out = append(out, port.Port.IntValue())
		}
	}
	if !slices.Equal(in, []int{15012, 9443, 8080}) || !slices.Equal(out, []int{53, 53, 443, 6443}) {
		t.Errorf("in %v, out %v", in, out)
	}
}

// TestDefinitionsAreKept: only with crds.keep=false may anything delete them.
func TestDefinitionsAreKept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		args    []string
		install bool
		deletes bool
	}{
		{"default", nil, true, false},
		{"not kept", []string{"--set", "crds.keep=false"}, true, true},
		{"not installed, so not ours to delete", []string{"--set", "crds.install=false,crds.keep=false"}, false, false},
	} {
		all := objects(t, test.args...)
		if got := all["Job/smi-crds"] != nil; got != test.install {
			t.Errorf("%s: installing is %v", test.name, got)
		}
		if got := all["Job/smi-crds-delete"] != nil; got != test.deletes {
			t.Errorf("%s: deleting is %v", test.name, got)
		}
		for _, rule := range as[rbacv1.ClusterRole](t, all, "ClusterRole/smi-uninstall").Rules {
			if slices.Contains(rule.Resources, "customresourcedefinitions") && slices.Contains(rule.Verbs, "delete") != test.deletes {
				t.Errorf("%s: the Job may %v definitions", test.name, rule.Verbs)
			}
		}
	}
}

func TestDefinitionsAreNamed(t *testing.T) {
	t.Parallel()
	ours, err := crds.Ours()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range ours {
		want = append(want, d.GetName())
	}
	for _, key := range []string{"ClusterRole/smi-crds", "ClusterRole/smi-uninstall"} {
		got := as[rbacv1.ClusterRole](t, objects(t), key).Rules[0].ResourceNames
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s does not name our definitions (-want +got):\n%s", key, d)
		}
	}
}
