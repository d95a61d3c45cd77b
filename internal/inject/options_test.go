package inject_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/sidecar"
)

func TestOptionsReachThePod(t *testing.T) {
	o := options()
	o.PullPolicy = corev1.PullAlways
	o.PullSecrets = []string{"registry", "mirror"}
	o.LogLevel = "debug"
	o.ExcludeInbound = []uint16{9443}
	o.ExcludeOutbound = []uint16{25, 5432}
	o.ExcludeCIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}
	o.PreStopSeconds = 0
	o.Mode = nil
	namespace, pod := ordinary()
	namespace.Labels[sidecar.LabelAccess] = "permissive"
	pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "mirror"}}
	pod.Annotations = map[string]string{sidecar.AnnotationExcludeOutbound: "5432,587"}
	injected, err := newInjector(t, o).Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	redirect, proxy := injected.Spec.InitContainers[0], injected.Spec.InitContainers[1]
	want := []string{"redirect", "--exclude-inbound-ports=9443", "--exclude-outbound-ports=25,587,5432", "--exclude-cidrs=10.0.0.0/8", "--drop-udp"}
	if !slices.Equal(redirect.Args, want) {
		t.Errorf("the redirection is %q and should be %q", redirect.Args, want)
	}
	if proxy.ImagePullPolicy != corev1.PullAlways || redirect.ImagePullPolicy != corev1.PullAlways {
		t.Error("the image is not always pulled")
	}
	if want := []corev1.LocalObjectReference{{Name: "mirror"}, {Name: "registry"}}; !slices.Equal(injected.Spec.ImagePullSecrets, want) {
		t.Errorf("the pull secrets are %v", injected.Spec.ImagePullSecrets)
	}
	if settings := settingsOf(t, injected); settings.LogLevel != "debug" || settings.PreStopSeconds != 0 || injected.Spec.Containers[0].Lifecycle != nil {
		t.Errorf("the settings are %+v", settings)
	}
	if o.ExcludeCIDRs[0].String() != "10.1.2.3/8" {
		t.Error("New has changed the options that it was given")
	}
}

func TestNewRefuses(t *testing.T) {
	for want, change := range map[string]func(*inject.Options){
		"image:":                  func(o *inject.Options) { o.Image = "" },
		"pull policy:":            func(o *inject.Options) { o.PullPolicy = "Sometimes" },
		"pull secrets:":           func(o *inject.Options) { o.PullSecrets = []string{""} },
		"controller:":             func(o *inject.Options) { o.Controller = "smi-controller" },
		"controller: \":15012\"":  func(o *inject.Options) { o.Controller = ":15012" },
		"trust domain:":           func(o *inject.Options) { o.TrustDomain = "Not One" },
		"log level:":              func(o *inject.Options) { o.LogLevel = "loud" },
		"preStop seconds:":        func(o *inject.Options) { o.PreStopSeconds = -1 },
		"excluded inbound ports:": func(o *inject.Options) { o.ExcludeInbound = []uint16{15001} },
		"excluded ports: 0":       func(o *inject.Options) { o.ExcludeOutbound = []uint16{0} },
		"excluded CIDRs:":         func(o *inject.Options) { o.ExcludeCIDRs = []netip.Prefix{{}} },
	} {
		o := options()
		change(&o)
		if _, err := inject.New(o); err == nil || !strings.HasPrefix(err.Error(), "sidecar injection: "+want) {
			t.Errorf("the error is %v and should name %s", err, want)
		}
	}
}

func TestInjectNeedsBoth(t *testing.T) {
	namespace, pod := ordinary()
	injector := newInjector(t, options())
	if _, err := injector.Inject(nil, pod); err == nil {
		t.Error("no namespace is no error")
	}
	if _, err := injector.Inject(namespace, nil); err == nil {
		t.Error("no pod is no error")
	}
}
