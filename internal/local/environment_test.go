//go:build linux

package local

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/mesh"
)

var here = pair{app: netip.MustParseAddr("127.64.1.0"), sidecar: netip.MustParseAddr("127.64.1.1")}

func webPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"example.org/a": "$(POD_IP)"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "web"},
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("LANG", "C.UTF-8")
	t.Setenv("SECRET_OF_THE_USER", "x")
	t.Setenv("HTTPS_PROXY", "http://proxy.example.org")
	upstreams := []upstream{{service: mesh.Name{Namespace: "big-bank", Name: "ledger.v2"}, port: 9090, address: "127.64.1.1:20000"}}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	yes := true
	container := &corev1.Container{Name: "app", Env: []corev1.EnvVar{
		field("NAME", "metadata.name"), field("NAMESPACE", "metadata.namespace"), field("ACCOUNT", "spec.serviceAccountName"),
		field("NODE", "spec.nodeName"), field("IP", "status.podIP"), field("APP", "metadata.labels['app']"),
		field("NOTE", "metadata.annotations['example.org/a']"), field("NO_LABEL", "metadata.labels['none']"),
		{Name: "URL", Value: "http://$(IP):80/$(LATER)/$$(IP)/$(UNKNOWN)/$"}, {Name: "LATER", Value: "later"},
		{Name: "LANG", Value: "de"},
		{Name: "OPTIONAL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Optional: &yes}}},
	}}
	list, expand, err := environment(webPod(), container, here, upstreams)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"POD_IP=127.64.1.0", "HOSTNAME=web-0", "HTTP_PROXY=http://127.64.1.1:15001", "http_proxy=http://127.64.1.1:15001",
		"NO_PROXY=localhost,127.0.0.0/8,::1", "SMI_UPSTREAM_LEDGER_V2_BIG_BANK_9090=127.64.1.1:20000",
		"NAME=web-0", "NAMESPACE=shop", "ACCOUNT=web", "NODE=" + host, "IP=127.64.1.0", "APP=web", "NO_LABEL=",
		"NOTE=$(POD_IP)", // what a field says is not expanded
		"URL=http://127.64.1.0:80/$(LATER)/$(IP)/$(UNKNOWN)/$", "LATER=later", "LANG=de", "PATH=" + os.Getenv("PATH"),
	} {
		if !slices.Contains(list, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, entry := range list {
		for _, never := range []string{"SECRET_OF_THE_USER=", "HTTPS_PROXY=", "OPTIONAL="} {
			if strings.HasPrefix(entry, never) {
				t.Errorf("the process gets %s", entry)
			}
		}
	}
	if got := expand("-listen=$(IP):80"); got != "-listen=127.64.1.0:80" {
		t.Errorf("an argument becomes %s", got)
	}
}

// A pod that is not meshed has nobody to send through.
func TestEnvironmentWithoutSidecar(t *testing.T) {
	pod := webPod()
	pod.Labels["smi-spec.io/inject"] = "disabled"
	list, _, err := environment(pod, &corev1.Container{}, here, []upstream{{address: "127.64.1.1:20000"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		if strings.Contains(entry, "127.64.1.1") {
			t.Errorf("it gets %s", entry)
		}
	}
}
