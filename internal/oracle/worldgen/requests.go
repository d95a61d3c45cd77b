package worldgen

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
)

// Requests are n random requests in the world, many of them along a TrafficTarget. The authority may be anything, as on a cluster,
// where the destination address alone says which Service is meant (TS-1). A few name no Service, port or client that exists.
func Requests(seed uint64, w *oracle.World, n int) []oracle.Request {
	return requests(seed, w, n, false)
}

// LiveRequests are as Requests, but each can be sent through the standalone runtime: from a pod, to a TCP port that exists, and the
// authority is a name of the Service with its port, in any form and case.
func LiveRequests(seed uint64, w *oracle.World, n int) []oracle.Request {
	return requests(seed, w, n, true)
}

func requests(seed uint64, w *oracle.World, n int, live bool) []oracle.Request {
	a := &asker{dice: newDice(seed, streamRequests), w: w, live: live}
	all := make([]oracle.Request, 0, n)
	for range n {
		all = append(all, a.request())
	}
	return all
}

// asker makes requests in a finished world.
type asker struct {
	dice
	w    *oracle.World
	live bool
}

func (a *asker) request() oracle.Request {
	client, service := pick(a.dice, a.w.Pods), pick(a.dice, a.w.Services)
	if a.percent(70) && len(a.w.TrafficTargets) > 0 {
		client, service = a.along(pick(a.dice, a.w.TrafficTargets), client, service)
	}
	if a.percent(25) && len(a.w.TrafficSplits) > 0 {
		service = a.rootOf(service)
	}
	port := a.port(service)
	r := oracle.Request{From: client.Namespace + "/" + client.Name, Namespace: service.Namespace, Service: service.Name, Port: port.Port}
	tcp := 30
	if looksHTTP(port) {
		tcp = 3
	}
	if !a.percent(tcp) {
		r.HTTP = a.http(client, service, port.Port)
	}
	if !a.live {
		a.onPaper(&r, client)
	}
	return r
}

// onPaper is what only a judge can be asked.
func (a *asker) onPaper(r *oracle.Request, client *corev1.Pod) {
	switch a.IntN(100) {
	case 0:
		r.Service = missing
	case 1:
		r.Port = 4
	case 2:
		r.From = client.Namespace + "/" + missing
	case 3, 4, 5, 6, 7:
		r.From, r.FromAccount = "", client.Namespace+"/"+accountName(client)
	}
}

// along is a client and a Service such as the target's author had in mind, as far as there are any.
func (a *asker) along(target *access.TrafficTarget, client *corev1.Pod, service *corev1.Service) (*corev1.Pod, *corev1.Service) {
	if len(target.Spec.Sources) > 0 {
		source := pick(a.dice, target.Spec.Sources)
		clients := a.podsOf(source, target.Namespace)
		if len(clients) > 0 {
			client = pick(a.dice, clients)
		}
	}
	var services []*corev1.Service
	for _, pod := range a.podsOf(target.Spec.Destination, target.Namespace) {
		for _, candidate := range a.w.Services {
			if selected(candidate, pod) {
				services = append(services, candidate)
			}
		}
	}
	if len(services) > 0 {
		service = pick(a.dice, services)
	}
	return client, service
}

// podsOf are the pods of a ServiceAccount; for a binding any of its namespace will do.
func (a *asker) podsOf(subject access.IdentityBindingSubject, namespace string) []*corev1.Pod {
	if subject.Namespace != "" {
		namespace = subject.Namespace
	}
	var pods []*corev1.Pod
	for _, pod := range a.w.Pods {
		if pod.Namespace == namespace && (subject.Kind == "IdentityBinding" || accountName(pod) == subject.Name) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// rootOf is a Service that a split of the Service's namespace names, else the Service itself.
func (a *asker) rootOf(service *corev1.Service) *corev1.Service {
	var roots []*corev1.Service
	for _, s := range a.w.TrafficSplits {
		name, _, _ := strings.Cut(s.Spec.Service, ".")
		for _, candidate := range a.w.Services {
			if s.Namespace == service.Namespace && candidate.Namespace == s.Namespace && candidate.Name == name {
				roots = append(roots, candidate)
			}
		}
	}
	if len(roots) == 0 {
		return service
	}
	return pick(a.dice, roots)
}

// port is one of the Service's TCP ports.
func (a *asker) port(service *corev1.Service) corev1.ServicePort {
	var ports []corev1.ServicePort
	for _, port := range service.Spec.Ports {
		if port.Protocol != corev1.ProtocolUDP {
			ports = append(ports, port)
		}
	}
	return pick(a.dice, ports)
}

// looksHTTP is a guess that keeps most bytes that are not HTTP away from HTTP ports; no verdict depends on it.
func looksHTTP(port corev1.ServicePort) bool {
	if port.AppProtocol != nil {
		return *port.AppProtocol != "tcp" && *port.AppProtocol != "https"
	}
	return strings.HasPrefix(port.Name, "http") && !strings.HasPrefix(port.Name, "https") || strings.HasPrefix(port.Name, "grpc")
}

func (a *asker) http(client *corev1.Pod, service *corev1.Service, port int32) *oracle.HTTP {
	request := &oracle.HTTP{Method: pick(a.dice, methods), Path: pick(a.dice, paths), Authority: a.authority(client, service, port)}
	if !a.live && a.percent(3) {
		request.Method = "get"
	}
	for _, header := range pick(a.dice, headerLists) {
		request.Headers = append(request.Headers, oracle.Header{Name: header[0], Value: header[1]})
	}
	return request
}

func (a *asker) authority(client *corev1.Pod, service *corev1.Service, port int32) string {
	if !a.live && a.percent(15) {
		return pick(a.dice, []string{"example.com", "EXAMPLE.com:8443", "10.0.0.1", "[fd00::1]:80", "[fd00::1]", "localhost."})
	}
	name := service.Name + "." + service.Namespace
	forms := []string{name, name, name + ".svc", name + ".svc.cluster.local"}
	if client.Namespace == service.Namespace {
		forms = append(forms, service.Name)
	}
	host := pick(a.dice, forms)
	switch a.IntN(8) {
	case 0:
		host = strings.ToUpper(host)
	case 1:
		host += "."
	}
	if port == 80 && a.percent(50) {
		return host
	}
	return fmt.Sprintf("%s:%d", host, port)
}
