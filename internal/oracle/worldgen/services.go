package worldgen

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// serviceNames are given to a namespace's Services in this order.
var serviceNames = []string{"web", "web-v1", "web-v2", "api", "db", "pay"}

func (b *builder) services(namespace string) {
	for _, name := range serviceNames[:b.between(3, 6)] {
		service := &corev1.Service{ObjectMeta: meta(namespace, name)}
		service.Spec.Selector = b.selector(namespace)
		if b.percent(7) {
			service.Spec.ClusterIP = corev1.ClusterIPNone
		}
		b.ports(service)
		b.w.Services = append(b.w.Services, service)
	}
}

// selector is one or two labels of one of the namespace's pods; now and then it selects nobody.
func (b *builder) selector(namespace string) map[string]string {
	if b.percent(5) {
		return map[string]string{"app": "nobody"}
	}
	if !b.live && b.percent(2) {
		return nil
	}
	labels := pick(b.dice, b.podsIn(namespace)).Labels
	keys := sortedKeys(labels)
	selector := map[string]string{}
	for _, key := range some(b.dice, keys, b.between(1, 2)) {
		if key != "smi-spec.io/inject" {
			selector[key] = labels[key]
		}
	}
	if len(selector) == 0 {
		selector["app"] = "nobody"
	}
	return selector
}

// ports gives the Service one to three TCP ports, and now and then a UDP port of the number that others have for TCP.
func (b *builder) ports(service *corev1.Service) {
	numbers := some(b.dice, []int32{80, 80, 81, 9000}, b.between(1, 3))
	if b.percent(4) {
		numbers[0] = 3306 // a server-first port
	}
	used := map[int32]bool{}
	for _, number := range numbers {
		port := corev1.ServicePort{Port: number, TargetPort: b.targetPort(service)}
		if service.Spec.ClusterIP == corev1.ClusterIPNone || b.percent(8) {
			port.Port, port.TargetPort = b.samePort(service)
		}
		if used[port.Port] {
			continue
		}
		used[port.Port] = true
		if b.percent(15) {
			protocol := pick(b.dice, appProtocols)
			if !b.live && b.percent(5) {
				protocol = "example.com/own"
			}
			port.AppProtocol = &protocol
		}
		service.Spec.Ports = append(service.Spec.Ports, port)
	}
	if b.percent(5) {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Port: 81, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(8125)})
	}
	b.portNames(service)
}

// portNames must be unique where there are several ports, so these carry a suffix. Only a single port may have no name.
func (b *builder) portNames(service *corev1.Service) {
	ports := service.Spec.Ports
	for i := range ports {
		word := pick(b.dice, declaredPorts)
		if b.percent(35) {
			word = pick(b.dice, silentPorts)
		}
		switch {
		case ports[i].Protocol == corev1.ProtocolUDP:
			ports[i].Name = fmt.Sprintf("udp-%d", i)
		case len(ports) > 1 || b.percent(30):
			ports[i].Name = fmt.Sprintf("%s-%d", word, i)
		case b.percent(60):
			ports[i].Name = word
		}
	}
}

// targetPort is a number or a name; a pod without a port of that name is not behind the Service port.
func (b *builder) targetPort(service *corev1.Service) intstr.IntOrString {
	if b.percent(35) {
		return intstr.FromString(pick(b.dice, []string{"p0", "p0", "p1", "p2", "p3"}))
	}
	return intstr.FromInt32(pick(b.dice, b.listening(service)))
}

// samePort is a Service port whose target port has the same number, said or unsaid.
func (b *builder) samePort(service *corev1.Service) (int32, intstr.IntOrString) {
	number := pick(b.dice, b.listening(service))
	if b.percent(50) {
		return number, intstr.IntOrString{}
	}
	return number, intstr.FromInt32(number)
}

// listening are numbers of ports on which every pod behind the Service listens; on paper any will do.
func (b *builder) listening(service *corev1.Service) []int32 {
	if !b.live {
		return b.podPorts
	}
	var common []int32
	for _, number := range b.podPorts {
		if b.allListen(service, number) {
			common = append(common, number)
		}
	}
	if len(common) == 0 {
		// No number will do for all of them, so the Service gets no pod rather than a closed port.
		service.Spec.Selector = map[string]string{"app": "nobody"}
		return b.podPorts
	}
	return common
}

func (b *builder) allListen(service *corev1.Service, number int32) bool {
	for _, pod := range b.podsIn(service.Namespace) {
		if selected(service, pod) && !listens(pod, number) {
			return false
		}
	}
	return true
}

func listens(pod *corev1.Pod, number int32) bool {
	for _, port := range pod.Spec.Containers[0].Ports {
		if port.ContainerPort == number {
			return true
		}
	}
	return false
}

func selected(service *corev1.Service, pod *corev1.Pod) bool {
	if service.Namespace != pod.Namespace || len(service.Spec.Selector) == 0 {
		return false
	}
	for key, value := range service.Spec.Selector {
		if pod.Labels[key] != value {
			return false
		}
	}
	return true
}
