package file_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/mesh"
)

const storeDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: store, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata:
      labels: {app: store}
      annotations: {smi-spec.io/plaintext-ports: "8081"}
    spec:
      serviceAccountName: store
      containers:
      - name: main
        image: store:v1
        command: [/bin/store]
        args: [--port, "8080"]
        ports: [{name: http, containerPort: 8080}]
        env:
        - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        readinessProbe: {httpGet: {path: /healthy, port: http}}
`

func TestADeploymentBecomesItsPods(t *testing.T) {
	r := loadClean(t, storeDeployment, file.Options{})
	expect(t, "objects", []string{"v1.Pod shop/store-0", "v1.Pod shop/store-1"}, names(r.Objects))

	pod := r.Objects[1].(*corev1.Pod)
	yes := true
	expect(t, "owner", []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "store", Controller: &yes}}, pod.OwnerReferences)
	expect(t, "labels", map[string]string{"app": "store"}, pod.Labels)
	expect(t, "annotations", map[string]string{"smi-spec.io/plaintext-ports": "8081"}, pod.Annotations)
	expect(t, "account", "store", pod.Spec.ServiceAccountName)
	expect(t, "status", corev1.PodStatus{}, pod.Status)
	main := pod.Spec.Containers[0]
	expect(t, "command", []string{"/bin/store", "--port", "8080"}, append(main.Command, main.Args...))
	expect(t, "port", corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}, main.Ports[0])
	expect(t, "environment", "status.podIP", main.Env[1].ValueFrom.FieldRef.FieldPath)
	expect(t, "probe", "/healthy", main.ReadinessProbe.HTTPGet.Path)

	expect(t, "workloads", 1, len(r.Workloads))
	expect(t, "workload", mesh.Name{Namespace: "shop", Name: "store"}, r.Workloads[0].Name)
	if w := r.Workloads[0]; w.Kind != "Deployment" || len(w.Pods) != 2 || w.Pods[1] != pod {
		t.Errorf("the workload is %v, and its pods are not those among the objects", w)
	}
	expect(t, "the pod's place", "stdin:2", r.Positions[pod].String())
}

func TestOfflineEveryPodIsReady(t *testing.T) {
	r := loadClean(t, storeDeployment+`
---
apiVersion: v1
kind: Pod
metadata: {name: running, namespace: shop}
status: {podIP: 10.0.0.7, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: ended, namespace: shop}
status: {phase: Succeeded}
`, file.Options{Offline: true})
	ready := map[string]bool{}
	for _, o := range r.Objects {
		pod := o.(*corev1.Pod)
		ready[pod.Name] = len(pod.Status.Conditions) == 1 && pod.Status.Conditions[0].Type == corev1.PodReady && pod.Status.Conditions[0].Status == corev1.ConditionTrue
		expect(t, "address of "+pod.Name, "", pod.Status.PodIP)
	}
	expect(t, "ready", map[string]bool{"store-0": true, "store-1": true, "running": true, "ended": false}, ready)
}

func TestAccountsOfPods(t *testing.T) {
	for spec, want := range map[string]string{
		"{}":                      "default",
		"{serviceAccountName: a}": "a",
		"{serviceAccount: b}":     "b",
		"{serviceAccountName: a, serviceAccount: b}": "a",
	} {
		r := loadClean(t, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: "+spec+"}", file.Options{})
		expect(t, spec, want, only[*corev1.Pod](t, r).Spec.ServiceAccountName)
	}
}

func TestOtherWorkloads(t *testing.T) {
	cases := []struct {
		kind, spec string
		want       []string
	}{
		{"apps/v1, kind: Deployment", "", []string{"v1.Pod default/w-0"}},
		{"apps/v1, kind: Deployment", "replicas: 0,", nil},
		{"apps/v1, kind: ReplicaSet", "replicas: 2,", []string{"v1.Pod default/w-0", "v1.Pod default/w-1"}},
		{"apps/v1, kind: StatefulSet", "replicas: 2, ordinals: {start: 5},", []string{"v1.Pod default/w-5", "v1.Pod default/w-6"}},
		{"apps/v1, kind: DaemonSet", "", []string{"v1.Pod default/w-0"}},
		{"batch/v1, kind: Job", "parallelism: 3, completions: 2,", []string{"v1.Pod default/w-0", "v1.Pod default/w-1"}},
		{"batch/v1, kind: Job", "suspend: true,", nil},
	}
	for _, c := range cases {
		t.Run(c.kind+c.spec, func(t *testing.T) {
			r := loadClean(t, "{apiVersion: "+c.kind+", metadata: {name: w}, spec: {"+c.spec+" template: {spec: {}}}}", file.Options{})
			expect(t, "pods", c.want, names(r.Objects))
			expect(t, "workloads", 1, len(r.Workloads))
		})
	}
}

func TestPodsOfAStatefulSetKnowTheirNames(t *testing.T) {
	r := loadClean(t, "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {template: {metadata: {labels: {app: db}}}}}", file.Options{})
	expect(t, "labels", map[string]string{"app": "db", "statefulset.kubernetes.io/pod-name": "db-0", "apps.kubernetes.io/pod-index": "0"}, r.Objects[0].GetLabels())
}

// What `kubectl get deployments,replicasets,pods -o yaml` writes has every Pod
// twice: as the template of its Deployment, and as it runs.
func TestPodsThatAWorkloadMadeAreNotReadAgain(t *testing.T) {
	owned := func(kind, name, ownerKind, owner string) string {
		return fmt.Sprintf("\n---\n{apiVersion: %s, metadata: {name: %s, namespace: shop, ownerReferences: [{apiVersion: x/v1, kind: %s, name: %s, uid: u, controller: true}]}}", kind, name, ownerKind, owner)
	}
	r := loadClean(t, storeDeployment+
		owned("apps/v1, kind: ReplicaSet", "store-6d4c", "Deployment", "store")+
		owned("v1, kind: Pod", "store-6d4c-x7z", "ReplicaSet", "store-6d4c")+
		owned("v1, kind: Pod", "other-5f-abc", "ReplicaSet", "other-5f"), file.Options{})
	expect(t, "objects", []string{"v1.Pod shop/store-0", "v1.Pod shop/store-1", "v1.Pod shop/other-5f-abc"}, names(r.Objects))

	withoutTheDeployment := "{}" + owned("v1, kind: Pod", "store-6d4c-x7z", "ReplicaSet", "store-6d4c")
	expect(t, "objects", []string{"v1.Pod shop/store-6d4c-x7z"}, names(loadClean(t, withoutTheDeployment, file.Options{}).Objects))
}

func TestAPodMayHaveTheNameOfAReplica(t *testing.T) {
	r := load(t, "{apiVersion: v1, kind: Pod, metadata: {name: store-1, namespace: shop, labels: {from: pod}}}\n---"+storeDeployment, file.Options{})
	expect(t, "objects", []string{"v1.Pod shop/store-1", "v1.Pod shop/store-0"}, names(r.Objects))
	expect(t, "the Pod that counts", "pod", r.Objects[0].GetLabels()["from"])
	expect(t, "the workload's pods", 1, len(r.Workloads[0].Pods))
	expect(t, "message", "stdin:3: Pod shop/store-1 is given twice, first at stdin:1, which counts; this one is left out", r.Findings[0].Message)
}
