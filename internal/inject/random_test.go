package inject_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/sidecar"
)

// checkLaws are what holds for every pod whatever. It tells whether the pod was
// brought into the mesh.
func checkLaws(t *testing.T, injector *inject.Injector, namespace *corev1.Namespace, pod *corev1.Pod) bool {
	t.Helper()
	before := pod.DeepCopy()
	once, err := injector.Inject(namespace, pod)
	if !cmp.Equal(before, pod) {
		t.Fatalf("the given pod was changed (-before +after):\n%s", cmp.Diff(before, pod))
	}
	refused := &inject.Refused{}
	switch {
	case errors.As(err, &refused):
		if once != nil || len(refused.Refusals) == 0 || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Fatalf("a refusal is not as it should be: %v, %v", once, err)
		}
		return false
	case err != nil:
		t.Fatal(err)
	case once == pod:
		return false
	}
	if !sidecar.Meshed(once) || once.Spec.InitContainers[0].Name != sidecar.RedirectContainer || once.Spec.InitContainers[1].Name != sidecar.Container {
		t.Fatalf("the sidecar does not come first: %+v", once.Spec.InitContainers)
	}
	twice, err := injector.Inject(namespace, once)
	if err != nil {
		t.Fatalf("an injected pod is refused: %v", err)
	}
	if !cmp.Equal(once, twice) {
		t.Fatalf("a second injection changes the pod (-once +twice):\n%s", cmp.Diff(once, twice))
	}
	for path, probe := range settingsOf(t, once).Probes {
		if asksItself(probe) {
			t.Fatalf("by the probe %s the sidecar asks itself: %+v", path, probe)
		}
	}
	return true
}

func asksItself(p sidecar.Probe) bool {
	for _, reserved := range sidecar.ReservedPorts {
		n := int32(reserved)
		if p.HTTPGet != nil && p.HTTPGet.Port.IntVal == n || p.TCPSocket != nil && p.TCPSocket.Port.IntVal == n || p.GRPC != nil && p.GRPC.Port == n {
			return true
		}
	}
	return false
}

// TestRandomPods injects into pods that are made of dice, around what the
// injector looks at, and has the handler's patch applied to each.
func TestRandomPods(t *testing.T) {
	const pods = 1000
	injector := newInjector(t, options())
	namespace, _ := ordinary()
	server := serve(t, injector, namespace)
	injected := 0
	for seed := range int64(pods) {
		pod := randomPod(seed)
		if !checkLaws(t, injector, namespace, pod) {
			continue
		}
		injected++
		if injected%10 != 0 {
			continue
		}
		// What comes over the wire is no longer every bit of what the dice have made.
		sent := encode(t, pod)
		want, err := injector.Inject(namespace, decodePod(t, sent))
		if err != nil {
			t.Fatalf("pod %d: %v", seed, err)
		}
		got := decodePod(t, server.create(t, "shop", sent).applied(t, sent))
		if diff := cmp.Diff(encode(t, want), encode(t, got)); diff != "" {
			t.Fatalf("pod %d: the patched pod is not the injected one (-injected +patched):\n%s", seed, diff)
		}
	}
	t.Logf("%d of %d pods were brought into the mesh", injected, pods)
	if injected < pods/5 || injected > pods*4/5 {
		t.Errorf("%d of %d pods were brought into the mesh; too few or too many to show anything", injected, pods)
	}
}

// FuzzInject reads pods as they come over the wire.
func FuzzInject(f *testing.F) {
	for _, folder := range cases(f) {
		_, pod := readCase(f, filepath.Clean(folder))
		f.Add(encode(f, pod))
		namespace, _ := ordinary()
		if injected, err := newInjector(f, options()).Inject(namespace, pod); err == nil {
			f.Add(encode(f, injected))
		}
	}
	injector := newInjector(f, options())
	f.Fuzz(func(t *testing.T, raw []byte) {
		pod := &corev1.Pod{}
		if json.Unmarshal(raw, pod) != nil {
			return
		}
		namespace, _ := ordinary()
		checkLaws(t, injector, namespace, pod)
	})
}

// randomPod has random values in all fields. Those that would keep most pods out
// of the mesh are mostly left empty, and names come from few, so that they meet.
func randomPod(seed int64) *corev1.Pod {
	pod := &corev1.Pod{}
	filler := randfill.NewWithSeed(seed).NilChance(.6).NumElements(0, 3).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1000), resource.DecimalSI)
		},
		func(m *metav1.Time, _ randfill.Continue) { *m = metav1.Time{} },
		func(m *metav1.MicroTime, _ randfill.Continue) { *m = metav1.MicroTime{} },
		func(m *metav1.FieldsV1, _ randfill.Continue) { *m = metav1.FieldsV1{} },
		// JSON has no larger numbers that all programs read alike.
		func(n *int64, c randfill.Continue) { *n = c.Int63n(1 << 53) },
		func(s *string, c randfill.Continue) { *s = pick(c, "a", "b", "c", "web", "$(a)", "é\n") },
		func(p *intstr.IntOrString, c randfill.Continue) {
			*p = pick(c, intstr.FromInt32(80), intstr.FromInt32(8080), rarely(c, intstr.FromInt32(80), intstr.FromInt32(15022)), rarely(c, intstr.FromInt32(80), intstr.FromString("a")))
		},
		func(p *corev1.ContainerPort, c randfill.Continue) {
			*p = corev1.ContainerPort{Name: pick(c, "", "a", "b"), ContainerPort: rarely(c, 8080, int32(15001)), Protocol: pick(c, corev1.ProtocolTCP, corev1.ProtocolUDP, "")}
		},
		func(g *corev1.GRPCAction, c randfill.Continue) { g.Port = rarely(c, 9090, c.Int31()) },
		func(v *corev1.VolumeMount, c randfill.Continue) { v.Name = rarely(c, "data", sidecar.VolumeToken) },
		func(s *corev1.SecurityContext, c randfill.Continue) {
			s.RunAsUser = rarely(c, nil, new(int64(sidecar.UserID)))
		},
		func(s *corev1.PodSecurityContext, c randfill.Continue) { s.FSGroup = new(c.Int63n(1 << 53)) },
		func(e *[]corev1.EphemeralContainer, _ randfill.Continue) { *e = nil },
		func(s *corev1.PodStatus, _ randfill.Continue) { *s = corev1.PodStatus{} },
		func(o *corev1.PodOS, c randfill.Continue) { o.Name = rarely(c, corev1.Linux, corev1.Windows) },
		func(m *metav1.ObjectMeta, c randfill.Continue) { *m = randomMeta(c) },
	)
	filler.Fill(pod)
	dice := randfill.NewWithSeed(seed).Funcs(func(p *corev1.Pod, c randfill.Continue) {
		p.Spec.HostNetwork, p.Spec.HostPID = c.Intn(30) == 0, c.Intn(30) == 0
		p.Spec.ShareProcessNamespace = rarely(c, nil, new(true))
		p.Spec.TerminationGracePeriodSeconds = pick(c, nil, nil, new(int64(0)), new(int64(1)), new(int64(60)), new(int64(-5)), new(c.Int63n(1<<53)))
		named := 0
		for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range list {
				named++
				list[i].Name = rarely(c, string(rune('a'+named)), pick(c, "b", sidecar.Container))
			}
		}
	})
	dice.Fill(&struct{ *corev1.Pod }{pod})
	return pod
}

func randomMeta(c randfill.Continue) metav1.ObjectMeta {
	m := metav1.ObjectMeta{GenerateName: "web-", Annotations: map[string]string{}}
	for name, values := range map[string][2]string{
		sidecar.AnnotationExcludeInbound:  {"80, 443", "x"},
		sidecar.AnnotationExcludeCIDRs:    {"10.0.0.0/8,fd00::/8", "10"},
		sidecar.AnnotationPlaintextPorts:  {"8443", "nobody"},
		sidecar.AnnotationPreStopSeconds:  {"7", "7s"},
		sidecar.AnnotationInjected:        {"0.9.0", "\x00"},
		sidecar.AnnotationMergeMetrics:    {"true", "yes"},
		"prometheus.io/scrape":            {"true", "false"},
		"prometheus.io/port":              {"9102", "15020"},
		"prometheus.io/path":              {"/metrics", "x"},
		"prometheus.io/scheme":            {"https", "ftp"},
		corev1.MirrorPodAnnotationKey:     {"", "abc"},
		sidecar.AnnotationExcludeOutbound: {"", ","},
	} {
		if value := rarely(c, values[0], values[1]); value != "" && c.Bool() {
			m.Annotations[name] = value
		}
	}
	return m
}

func pick[T any](c randfill.Continue, values ...T) T { return values[c.Intn(len(values))] }

func rarely[T any](c randfill.Continue, mostly, other T) T {
	if c.Intn(40) == 0 {
		return other
	}
	return mostly
}
