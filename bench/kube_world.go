package main

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/sidecar"
)

const systemNamespace = "smi-system"

// kubeSize is that of a cluster.
type kubeSize struct {
	// services is the number of Services, each with a ServiceAccount of its own;
	// pods is how many there are of each.
	services, pods int
}

func (s kubeSize) proxies() int { return s.services * s.pods }

// kubeWorld is what is in a cluster: the mesh of the standard size, with several
// pods to a Service, but one split alone, which everybody may call.
type kubeWorld struct {
	// namespaces come first; the rest knows no order.
	namespaces, objects []ctrlclient.Object
	// pods are meshed, as the injector leaves them, and have their status.
	pods  []*corev1.Pod
	split *split.TrafficSplit
	// behindSplit is a pod of the split's root, which everybody may call; called is one
	// that only a few may.
	behindSplit *corev1.Pod
	called      calledPod
}

// calledPod is a pod, and how many proxies may call it.
type calledPod struct {
	pod     *corev1.Pod
	callers int
}

// kubeSources is how many sources a TrafficTarget of everybody has: about what a
// person would still look at.
const kubeSources = 100

func newKubeWorld(size kubeSize) (*kubeWorld, error) {
	standard := scaletest.Standard(size.services)
	standard.Splits = 1
	base := scaletest.New(standard)
	injector, err := inject.New(inject.Options{
		Image: "localhost/smi-proxy:bench", Controller: "smi-controller." + systemNamespace + ".svc:15012",
		TrustDomain: "cluster.local", PreStopSeconds: inject.DefaultPreStopSeconds,
	})
	if err != nil {
		return nil, err
	}
	w := &kubeWorld{split: base.Splits[0], namespaces: []ctrlclient.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}}}
	homes := map[string]*corev1.Namespace{}
	for _, object := range base.Objects {
		switch o := object.(type) {
		case *corev1.Namespace:
			o.Labels = map[string]string{sidecar.LabelInject: sidecar.InjectEnabled}
			homes[o.Name] = o
			w.namespaces = append(w.namespaces, o)
		case *corev1.Pod:
			for n := range size.pods {
				pod, err := injector.Inject(homes[o.Namespace], w.running(o, n))
				if err != nil {
					return nil, err
				}
				w.pods = append(w.pods, pod)
			}
		case *corev1.Service:
			o.Spec.ClusterIP = "" // The cluster has its own.
			w.objects = append(w.objects, o)
		default:
			w.objects = append(w.objects, object.(ctrlclient.Object))
		}
	}
	for _, backend := range w.split.Spec.Backends {
		w.objects = append(w.objects, forEverybody(base, w.split.Namespace, backend.Service)...)
	}
	w.behindSplit = w.podOf(w.split.Spec.Service)
	w.called = w.callsOf(base, base.Services[size.services/2].Name, size)
	for n := range (len(w.pods) + podsPerNode - 1) / podsPerNode {
		w.objects = append(w.objects, node(n))
	}
	return w, nil
}

// podOf is the first pod of a Service.
func (w *kubeWorld) podOf(service string) *corev1.Pod {
	return w.pods[slices.IndexFunc(w.pods, func(p *corev1.Pod) bool { return p.Spec.ServiceAccountName == service })]
}

// callsOf is the first pod of a Service that is not part of the split, and how many
// pods the accounts have that may call it.
func (w *kubeWorld) callsOf(base *scaletest.World, service string, size kubeSize) calledPod {
	sources := map[access.IdentityBindingSubject]bool{}
	for _, t := range base.Targets {
		if t.Spec.Destination.Name != service {
			continue
		}
		for _, source := range t.Spec.Sources {
			sources[source] = true
		}
	}
	return calledPod{w.podOf(service), len(sources) * size.pods}
}

// podsPerNode are fewer than what a node takes by default.
const podsPerNode = 100

// nodeRange is the first three bytes of a node's addresses.
func nodeRange(n int) string { return fmt.Sprintf("10.%d.%d", 128+n/256, n%256) }

func nodeName(n int) string { return fmt.Sprintf("node-%03d", n) }

func node(n int) *corev1.Node {
	cidr := nodeRange(n) + ".0/24"
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(n)}, Spec: corev1.NodeSpec{PodCIDR: cidr, PodCIDRs: []string{cidr}}}
}

// running is the n-th pod of a Deployment, as it runs on a node.
func (w *kubeWorld) running(of *corev1.Pod, n int) *corev1.Pod {
	pod := of.DeepCopy()
	at := len(w.pods) / podsPerNode
	pod.Name = fmt.Sprintf("%s-%d", of.OwnerReferences[0].Name, n)
	yes := true
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: of.OwnerReferences[0].Name, Controller: &yes,
		UID: types.UID("00000000-0000-0000-0000-" + fmt.Sprintf("%012d", len(w.pods))),
	}}
	pod.Spec.NodeName = nodeName(at)
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].Image = "localhost/app:bench"
	}
	address := fmt.Sprintf("%s.%d", nodeRange(at), 10+len(w.pods)%podsPerNode)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}}
	for _, c := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	return pod
}

// forEverybody grants all accounts what they need to call a Service.
func forEverybody(base *scaletest.World, namespace, service string) []ctrlclient.Object {
	var all []access.IdentityBindingSubject
	for _, s := range base.Services {
		all = append(all, access.IdentityBindingSubject{Kind: "ServiceAccount", Namespace: s.Namespace, Name: s.Name})
	}
	var targets []ctrlclient.Object
	for sources := range slices.Chunk(all, kubeSources) {
		targets = append(targets, &access.TrafficTarget{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("everybody-%s-%d", service, len(targets))},
			Spec: access.TrafficTargetSpec{
				Destination: access.IdentityBindingSubject{Kind: "ServiceAccount", Namespace: namespace, Name: service},
				Sources:     sources,
				Rules:       []access.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "api", Matches: []string{"read"}}},
			},
		})
	}
	return targets
}

// nodes are the sidecars.
func (w *kubeWorld) nodes() []fleetNode {
	var nodes []fleetNode
	for _, pod := range w.pods {
		nodes = append(nodes, nodeOf(pod))
	}
	return nodes
}
