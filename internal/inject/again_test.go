package inject_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// again injects into an ordinary pod, lets others change the outcome, and injects
// once more.
func again(t *testing.T, change func(*corev1.Pod)) (changed, injected *corev1.Pod) {
	t.Helper()
	namespace, pod := ordinary()
	injector := newInjector(t, options())
	once, err := injector.Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	change(once)
	twice, err := injector.Inject(namespace, once)
	if err != nil {
		t.Fatal(err)
	}
	if third, err := injector.Inject(namespace, twice); err != nil || !cmp.Equal(twice, third) {
		t.Errorf("a third injection changes the pod (%v):\n%s", err, cmp.Diff(twice, third))
	}
	return once, twice
}

// TestAgainKeepsWhatAClusterFillsIn has what admission plugins of Kubernetes
// insist on, and would refuse the pod without.
func TestAgainKeepsWhatAClusterFillsIn(t *testing.T) {
	changed, injected := again(t, func(p *corev1.Pod) {
		for i := range p.Spec.InitContainers {
			c := &p.Spec.InitContainers[i]
			c.ImagePullPolicy = corev1.PullAlways
			c.Resources.Limits["cpu"] = resource.MustParse("2")
			c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.NotRequired}}
		}
	})
	if diff := cmp.Diff(changed, injected); diff != "" {
		t.Errorf("what the cluster has filled in is changed (-filled in +injected):\n%s", diff)
	}
}

// TestAgainSetsBackTheSidecar shows that nobody gets into the sidecar between two
// runs, not even the API server's own token.
func TestAgainSetsBackTheSidecar(t *testing.T) {
	namespace, pod := ordinary()
	clean, err := newInjector(t, options()).Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	_, injected := again(t, func(p *corev1.Pod) {
		p.Spec.InitContainers = append([]corev1.Container{{Name: "first"}}, p.Spec.InitContainers...)
		proxy := &p.Spec.InitContainers[2]
		proxy.Image = "example.test/other:1"
		proxy.Command = []string{"sh"}
		proxy.Resources.Limits["memory"] = resource.MustParse("1Ti")
		proxy.SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		proxy.Env = append(proxy.Env, corev1.EnvVar{Name: "LD_PRELOAD", Value: "/x.so"})
		proxy.VolumeMounts = append(proxy.VolumeMounts, corev1.VolumeMount{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"})
		p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{}
	})
	if diff := cmp.Diff(append(clean.Spec.InitContainers, corev1.Container{Name: "first"}), injected.Spec.InitContainers); diff != "" {
		t.Errorf("the sidecar is not what it was (-clean +changed and set back):\n%s", diff)
	}
	if diff := cmp.Diff(clean.Spec.Volumes, injected.Spec.Volumes); diff != "" {
		t.Errorf("the volumes are not what they were (-clean +changed and set back):\n%s", diff)
	}
}

// TestAgainTakesInWhatWasAdded has a container of another webhook.
func TestAgainTakesInWhatWasAdded(t *testing.T) {
	_, injected := again(t, func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: "added", ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(7070)}}},
		})
	})
	added := injected.Spec.Containers[1]
	if added.ReadinessProbe.HTTPGet == nil || added.ReadinessProbe.HTTPGet.Path != "/"+token+"/added/readiness" {
		t.Errorf("the probe is not led through the sidecar: %+v", added.ReadinessProbe)
	}
	if added.Lifecycle == nil || *injected.Spec.TerminationGracePeriodSeconds != 35 {
		t.Errorf("the container has no delay, or the delay was counted twice: %+v, %d s", added.Lifecycle, *injected.Spec.TerminationGracePeriodSeconds)
	}
	settings := settingsOf(t, injected)
	if probe := settings.Probes["/added/readiness"]; probe.TCPSocket == nil || probe.TCPSocket.Port.IntVal != 7070 {
		t.Errorf("the sidecar does not know the probe: %+v", settings.Probes)
	}
}

// TestAgainSeesWhatWasReplaced has a probe in place of one that was rewritten,
// which asks for the very path that stood there.
func TestAgainSeesWhatWasReplaced(t *testing.T) {
	namespace, pod := ordinary()
	injector := newInjector(t, options())
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
	once, err := injector.Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	once.Spec.Containers[0].LivenessProbe.HTTPGet.Port = intstr.FromInt32(81)
	twice, err := injector.Inject(namespace, once)
	if err != nil {
		t.Fatal(err)
	}
	if probe := settingsOf(t, twice).Probes["/web/liveness"]; probe.HTTPGet == nil || probe.HTTPGet.Port.IntVal != 81 {
		t.Errorf("the sidecar asks what the pod asked before: %+v", probe)
	}
}

// TestAgainRefuses has a webhook that breaks what was checked in the first run.
func TestAgainRefuses(t *testing.T) {
	namespace, pod := ordinary()
	injector := newInjector(t, options())
	once, err := injector.Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*corev1.Pod){
		"a container that mounts the sidecar's sockets": func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: sidecar.VolumeRun, MountPath: "/x"}}
		},
		"a second sidecar":  func(p *corev1.Pod) { p.Spec.InitContainers = append(p.Spec.InitContainers, p.Spec.InitContainers[1]) },
		"settings taken":    func(p *corev1.Pod) { p.Spec.InitContainers[1].Env = nil },
		"annotation taken":  func(p *corev1.Pod) { delete(p.Annotations, sidecar.AnnotationInjected) },
		"a looping probe":   func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = loop("/" + token + "/web/liveness") },
		"redirection taken": func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.InitContainers[1:] },
	} {
		changed := once.DeepCopy()
		change(changed)
		if _, err := injector.Inject(namespace, changed); err == nil {
			t.Errorf("%s: the pod is not refused", name)
		}
	}
}

// TestProbesNeedAToken is about who may ask for a pod's probes: who knows the pod.
func TestProbesNeedAToken(t *testing.T) {
	o := options()
	o.Token = nil
	injector := newInjector(t, o)
	seen := map[string]bool{}
	for range 3 {
		namespace, pod := ordinary()
		pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
		injected, err := injector.Inject(namespace, pod)
		if err != nil {
			t.Fatal(err)
		}
		settings := settingsOf(t, injected)
		path := injected.Spec.Containers[0].LivenessProbe.HTTPGet.Path
		if seen[path] || len(settings.ProbeToken) < 26 || path != "/"+settings.ProbeToken+"/web/liveness" || path != settings.ProbePath("/web/liveness") {
			t.Errorf("the kubelet asks for %s, the sidecar's token is %q", path, settings.ProbeToken)
		}
		seen[path] = true
	}
}

// TestAgainAfterARunWithoutTokens has an earlier run that knew no tokens, as while the mesh
// is upgraded.
func TestAgainAfterARunWithoutTokens(t *testing.T) {
	namespace, pod := ordinary()
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
	o := options()
	o.Token = func() string { return "" }
	once, err := newInjector(t, o).Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := newInjector(t, options()).Inject(namespace, once)
	if err != nil {
		t.Fatal(err)
	}
	want, err := newInjector(t, options()).Inject(namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, twice); diff != "" {
		t.Errorf("not as if it were the first run (-first +second):\n%s", diff)
	}
}

// TestForgedSettings has a pod that claims to have been injected, with settings
// that send the sidecar's probes to the sidecar.
func TestForgedSettings(t *testing.T) {
	namespace, pod := ordinary()
	pod.Spec.TerminationGracePeriodSeconds = new(int64(10))
	settings := sidecar.Settings{
		Controller: "elsewhere.test:1", TrustDomain: "elsewhere.test", LogLevel: "debug", PreStopSeconds: 30,
		ProbeToken:         "guessed",
		ApplicationMetrics: &corev1.HTTPGetAction{Path: "/x", Port: intstr.FromInt32(9102)},
		Probes:             map[string]sidecar.Probe{"/web/liveness": {HTTPGet: &corev1.HTTPGetAction{Path: "/live", Port: intstr.FromInt32(80)}}},
	}
	forge := func() *corev1.Pod {
		text, err := settings.Encode()
		if err != nil {
			t.Fatal(err)
		}
		forged := pod.DeepCopy()
		forged.Annotations = map[string]string{sidecar.AnnotationInjected: "1.0.0"}
		forged.Spec.InitContainers = []corev1.Container{
			{Name: sidecar.Container, Image: "example.test/other:1", Env: []corev1.EnvVar{{Name: sidecar.SettingsVariable, Value: text}}},
			{Name: sidecar.RedirectContainer, Image: "example.test/other:1"},
		}
		forged.Spec.Containers[0].LivenessProbe = loop("/guessed/web/liveness")
		return forged
	}
	injector := newInjector(t, options())
	honest := pod.DeepCopy()
	honest.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: settings.Probes["/web/liveness"].HTTPGet}}
	want, err := injector.Inject(namespace, honest)
	if err != nil {
		t.Fatal(err)
	}
	got, err := injector.Inject(namespace, forge())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a forged injection gains something (-honest +forged):\n%s", diff)
	}
	settings.Probes["/web/liveness"] = sidecar.Probe{HTTPGet: loop("/guessed/web/liveness").HTTPGet}
	if _, err := injector.Inject(namespace, forge()); err == nil {
		t.Error("a probe by which the sidecar asks itself is not refused")
	}
}

func loop(path string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(sidecar.PortProbes)}}}
}

func settingsOf(t testing.TB, pod *corev1.Pod) *sidecar.Settings {
	t.Helper()
	for _, c := range pod.Spec.InitContainers {
		for _, v := range c.Env {
			if c.Name == sidecar.Container && v.Name == sidecar.SettingsVariable {
				settings, err := sidecar.ParseSettings(v.Value)
				if err != nil {
					t.Fatal(err)
				}
				return settings
			}
		}
	}
	t.Fatal("the pod has no settings")
	return nil
}
