package sidecar_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

func TestSettingsSurviveTheEnvironment(t *testing.T) {
	settings := &sidecar.Settings{
		Controller: "smi-controller.smi-system.svc:15012", TrustDomain: "cluster.local", Workload: "web", PreStopSeconds: 5,
		Probes: map[string]sidecar.Probe{"/web/readiness": {HTTPGet: &corev1.HTTPGetAction{
			Path: "/$(POD_NAME)?price=$5", Port: intstr.FromInt32(8080), HTTPHeaders: []corev1.HTTPHeader{{Name: "X", Value: "$$"}},
		}}},
	}
	text, err := settings.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "$") {
		t.Errorf("the kubelet would expand variables in %s", text)
	}
	got, err := sidecar.ParseSettings(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(settings, got); diff != "" {
		t.Errorf("settings are not what they were (-before +after):\n%s", diff)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "was not started by the injector",
		"{":                        "SMI_SETTINGS",
		`{"controller":"a:1"}`:     "trustDomain",
		`{"trustDomain":"a.test"}`: "controller",
	} {
		if _, err := sidecar.ParseSettings(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v and should name %q", text, err, want)
		}
	}
	if _, err := sidecar.ParseSettings(`{"controller":"a:1","trustDomain":"a.test","later":1}`); err != nil {
		t.Errorf("a field of a later release: %v", err)
	}
}
