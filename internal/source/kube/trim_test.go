package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
)

// TestTrimKeepsMeaning compiles every case of the compiler with the objects as they
// are and as this package keeps them.
func TestTrimKeepsMeaning(t *testing.T) {
	cases, err := filepath.Glob("../../compile/testdata/*/input.yaml")
	if err != nil || len(cases) < 30 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			read, err := file.Load([]string{path}, file.Options{})
			if err != nil {
				t.Fatal(err)
			}
			config := configOf(t, filepath.Join(filepath.Dir(path), "config.yaml"))
			trimmed := make([]store.Object, len(read.Objects))
			for i, o := range read.Objects {
				trimmed[i] = trimAny(t, o.(client.Object).DeepCopyObject().(client.Object))
			}
			if diff := cmp.Diff(meaning(t, config, read.Objects), meaning(t, config, trimmed)); diff != "" {
				t.Errorf("without what is trimmed it means something else (-whole +trimmed):\n%s", diff)
			}
		})
	}
}

func configOf(t *testing.T, path string) compile.Config {
	t.Helper()
	var config compile.Config
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, &config)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func trimAny(t testing.TB, o client.Object) client.Object {
	t.Helper()
	for _, k := range kinds() {
		if reflect.TypeOf(k.object) == reflect.TypeOf(o) {
			return k.trim(o)
		}
	}
	t.Fatalf("no kind for %T", o)
	return nil
}

func meaning(t *testing.T, config compile.Config, objects []store.Object) string {
	t.Helper()
	s := store.New()
	s.Replace(objects)
	var text bytes.Buffer
	if err := compile.New(config).Compile(s.Snapshot()).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// fullPod is a pod as an API server hands it out.
func fullPod(n int) *corev1.Pod {
	name := fmt.Sprintf("checkout-7d9c8b6f5d-%05d", n)
	always, yes := corev1.ContainerRestartPolicyAlways, true
	container := func(name string) corev1.Container {
		c := corev1.Container{
			Name: name, Image: "registry.example.org/shop/" + name + ":v1.2.3", Args: []string{"--config", "/etc/app/config.yaml", "--verbose"},
			Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}
		for i := range 20 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: strings.Repeat("value", 8)})
		}
		return c
	}
	sidecar := container("smi-proxy")
	sidecar.RestartPolicy = &always
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: types.UID(fmt.Sprintf("0b6e4a7e-8f0c-4d0e-9a53-%012d", n)), ResourceVersion: fmt.Sprint(100000 + n),
			Labels:          map[string]string{"app": "checkout", "version": "v1", "pod-template-hash": "7d9c8b6f5d"},
			Annotations:     map[string]string{"smi-spec.io/plaintext-ports": "9090", "checksum/config": strings.Repeat("0123456789abcdef", 4)},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "checkout-7d9c8b6f5d", UID: "uid", Controller: &yes}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(`{"f:spec":"` + strings.Repeat("x", 3000) + `"}`)}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "checkout", NodeName: "node-17", InitContainers: []corev1.Container{container("smi-redirect"), sidecar}, Containers: []corev1.Container{container("app")},
			Volumes: []corev1.Volume{{Name: "token"}, {Name: "config"}}, Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.%d.%d", n/256, n%256), HostIP: "192.0.2.17",
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", ImageID: strings.Repeat("sha256", 12)}},
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Unix(1, 0))},
			},
		},
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	return pod
}

func TestTrimPod(t *testing.T) {
	pod := trimPod(fullPod(1))
	if len(pod.ManagedFields) > 0 || len(pod.Spec.Volumes) > 0 || pod.Spec.Containers[0].Env != nil || pod.Spec.Containers[0].Image != "" || len(pod.Status.ContainerStatuses) > 0 {
		t.Errorf("the pod keeps what no mesh needs: %+v", pod)
	}
	if diff := cmp.Diff(map[string]string{"smi-spec.io/plaintext-ports": "9090"}, pod.Annotations); diff != "" {
		t.Errorf("annotations differ (-want +got):\n%s", diff)
	}
	if pod.Spec.InitContainers[1].Name != "smi-proxy" || pod.OwnerReferences[0].Name != "checkout-7d9c8b6f5d" || pod.UID == "" || pod.ResourceVersion == "" {
		t.Errorf("the pod lacks what the mesh needs: %+v", pod)
	}
}

// What is written to an object that means nothing to the mesh does not reach the
// store.
func TestSame(t *testing.T) {
	all := map[string]kind{}
	for _, k := range kinds() {
		all[k.name] = k
	}
	later := fullPod(1)
	later.ResourceVersion = "2"
	later.Status.Conditions[1].LastTransitionTime = metav1.NewTime(time.Unix(2, 0))
	if !all["Pod"].same(trimPod(fullPod(1)), trimPod(later)) {
		t.Error("a pod that was only seen again counts as another one")
	}
	later.Status.Conditions[1].Status = corev1.ConditionFalse
	if all["Pod"].same(trimPod(fullPod(1)), trimPod(later)) {
		t.Error("a pod that is ready no more counts as the same")
	}
	was, is := all["TrafficTarget"].object.DeepCopyObject().(client.Object), all["TrafficTarget"].object.DeepCopyObject().(client.Object)
	is.SetResourceVersion("2")
	if !all["TrafficTarget"].same(was, is) {
		t.Error("a TrafficTarget whose status was written counts as another one")
	}
	is.SetGeneration(2)
	if all["TrafficTarget"].same(was, is) {
		t.Error("a TrafficTarget whose spec was written counts as the same")
	}
}

func TestForeignSlices(t *testing.T) {
	for manager, want := range map[string]bool{"": true, "me": true, "endpointslicemirroring-controller.k8s.io": true, "endpointslice-controller.k8s.io": false} {
		set := labels.Set{}
		if manager != "" {
			set[discoveryv1.LabelManagedBy] = manager
		}
		if got := foreignSlices.Matches(set); got != want {
			t.Errorf("EndpointSlices managed by %q are read: %t, want %t", manager, got, want)
		}
	}
}

// BenchmarkPodMemory tells what a pod takes in the store, as it comes and as it is
// kept.
func BenchmarkPodMemory(b *testing.B) {
	const pods = 10_000
	text := make([][]byte, pods)
	for i := range text {
		var err error
		if text[i], err = json.Marshal(fullPod(i)); err != nil {
			b.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		keep func(*corev1.Pod) *corev1.Pod
	}{{"whole", func(p *corev1.Pod) *corev1.Pod { return p }}, {"trimmed", trimPod}} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				s := store.New()
				objects := make([]store.Object, pods)
				for i := range text {
					pod := &corev1.Pod{}
					if err := json.Unmarshal(text[i], pod); err != nil {
						b.Fatal(err)
					}
					objects[i] = test.keep(pod)
				}
				s.Replace(objects)
				b.ReportMetric(float64(heap()-before)/pods, "B/pod")
				runtime.KeepAlive(s)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
