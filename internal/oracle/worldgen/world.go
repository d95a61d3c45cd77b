package worldgen

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/oracle"
)

// Slot is a pod that exists outside the world, such as a running process. Its application accepts HTTP and plain TCP on every
// one of its Ports.
type Slot struct {
	Namespace      string
	ServiceAccount string
	PodName        string
	Labels         map[string]string
	Ports          []int32 // three or four
}

// Streams of the dice.
const (
	streamPure = iota + 1
	streamLive
	streamRequests
)

// builder fills a world.
type builder struct {
	dice
	w          *oracle.World
	live       bool
	namespaces []string
	podPorts   []int32 // numbers of pod ports that routes may name
}

// Pure makes a world that exists on paper only, with any pods, unready and unmeshed ones among them.
func Pure(seed uint64) *oracle.World {
	b := &builder{dice: newDice(seed, streamPure), w: &oracle.World{}}
	b.namespaces = []string{"shop", "bank", "lab"}[:b.between(1, 3)]
	b.podPorts = []int32{8080, 8081, 9090, 7000, 5432}
	b.configuration()
	for _, namespace := range b.namespaces {
		for i := range b.between(2, 5) {
			b.w.Pods = append(b.w.Pods, b.paperPod(namespace, i))
		}
	}
	b.everythingElse()
	return b.w
}

// Live makes a world around the slots: its pods are the slots, all of them ready, whose container ports are named p0, p1 and so
// on; everything else is random. Every target port is one on which the pods behind it listen.
func Live(seed uint64, slots []Slot) *oracle.World {
	b := &builder{dice: newDice(seed, streamLive), w: &oracle.World{}, live: true}
	for _, slot := range slots {
		if !slices.Contains(b.namespaces, slot.Namespace) {
			b.namespaces = append(b.namespaces, slot.Namespace)
		}
		for _, port := range slot.Ports {
			if !slices.Contains(b.podPorts, port) {
				b.podPorts = append(b.podPorts, port)
			}
		}
		b.w.Pods = append(b.w.Pods, slotPod(slot))
	}
	b.everythingElse()
	return b.w
}

// everythingElse needs the pods.
func (b *builder) everythingElse() {
	for _, name := range b.namespaces {
		b.w.Namespaces = append(b.w.Namespaces, b.namespace(name))
	}
	b.serviceAccounts()
	for _, namespace := range b.namespaces {
		b.services(namespace)
		b.specs(namespace)
		b.identityBindings(namespace)
	}
	for _, namespace := range b.namespaces {
		b.trafficTargets(namespace)
		b.trafficSplits(namespace)
	}
}

// configuration is strict in most worlds.
func (b *builder) configuration() {
	if b.percent(8) {
		b.w.Config.Mode = pick(b.dice, []oracle.Mode{oracle.Permissive, oracle.Audit})
	}
	if b.percent(15) {
		b.w.Config.Floor = pick(b.dice, []oracle.Mode{oracle.Permissive, oracle.Audit, oracle.Strict})
	}
}

func (b *builder) namespace(name string) *corev1.Namespace {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if b.percent(30) {
		namespace.Labels = map[string]string{"smi-spec.io/access": pick(b.dice, modeLabels)}
	}
	return namespace
}

// serviceAccounts exist for every pod.
func (b *builder) serviceAccounts() {
	seen := map[string]bool{}
	for _, pod := range b.w.Pods {
		name := accountName(pod)
		if key := pod.Namespace + "/" + name; !seen[key] {
			seen[key] = true
			b.w.ServiceAccounts = append(b.w.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: meta(pod.Namespace, name)})
		}
	}
}

func slotPod(slot Slot) *corev1.Pod {
	container := corev1.Container{Name: "app", Image: "app"}
	for i, port := range slot.Ports {
		container.Ports = append(container.Ports, corev1.ContainerPort{Name: fmt.Sprintf("p%d", i), ContainerPort: port})
	}
	pod := &corev1.Pod{ObjectMeta: meta(slot.Namespace, slot.PodName)}
	pod.Labels = slot.Labels
	pod.Spec = corev1.PodSpec{ServiceAccountName: slot.ServiceAccount, Containers: []corev1.Container{container}}
	setReady(pod, corev1.ConditionTrue)
	return pod
}

// paperContainerPorts are those that a pod on paper may declare.
var paperContainerPorts = []corev1.ContainerPort{
	{Name: "p0", ContainerPort: 8080},
	{Name: "p1", ContainerPort: 9090},
	{Name: "p2", ContainerPort: 7000},
	{Name: "p3", ContainerPort: 5432},
}

func (b *builder) paperPod(namespace string, ordinal int) *corev1.Pod {
	name := pick(b.dice, []string{"web", "web", "api", "db"})
	pod := &corev1.Pod{ObjectMeta: meta(namespace, fmt.Sprintf("%s-%d", name, ordinal))}
	pod.Labels = map[string]string{"app": name, "version": pick(b.dice, []string{"v1", "v2"})}
	pod.Spec.ServiceAccountName = pick(b.dice, []string{name, name, name, "shared", ""})
	ports := some(b.dice, paperContainerPorts, b.between(2, 4))
	if b.percent(10) { // the same name at another number
		ports[0].ContainerPort = 8081
	}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Image: "app", Ports: ports}}
	if b.percent(8) {
		pod.Labels["smi-spec.io/inject"] = "disabled"
	}
	if b.percent(6) {
		pod.Annotations = map[string]string{"smi-spec.io/plaintext-ports": pick(b.dice, []string{"8080", "p0", "9090, p2", "nothing"})}
	}
	status := corev1.ConditionTrue
	if b.percent(8) {
		status = corev1.ConditionFalse
	}
	setReady(pod, status)
	return pod
}

func setReady(pod *corev1.Pod, status corev1.ConditionStatus) {
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func accountName(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName == "" {
		return "default"
	}
	return pod.Spec.ServiceAccountName
}

func (b *builder) podsIn(namespace string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range b.w.Pods {
		if pod.Namespace == namespace {
			pods = append(pods, pod)
		}
	}
	return pods
}
