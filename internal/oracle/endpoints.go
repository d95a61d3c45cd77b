package oracle

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// endpoint is a ready pod behind a Service port.
type endpoint struct {
	pod  *corev1.Pod
	port int32 // the pod's port
}

// endpoints are the ready pods behind a Service port. Each receives the same part of the Service's traffic.
func (w *World) endpoints(service *corev1.Service, port corev1.ServicePort) []endpoint {
	var found []endpoint
	for _, pod := range w.Pods {
		if !selects(service, pod) || !ready(pod) && !service.Spec.PublishNotReadyAddresses {
			continue
		}
		if target, ok := targetPort(port, pod); ok {
			found = append(found, endpoint{pod: pod, port: target})
		}
	}
	return found
}

// selects says whether the Service's selector takes the pod. A Service without selector takes none.
func selects(service *corev1.Service, pod *corev1.Pod) bool {
	if service.Namespace != pod.Namespace || len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	return containsLabels(pod.Labels, service.Spec.Selector)
}

func containsLabels(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if actual, ok := labels[name]; !ok || actual != value {
			return false
		}
	}
	return true
}

// targetPort is the pod's own port for a Service port: a number, the number of a named container port, or the same as the
// Service's. A pod without a port of that name is not behind the Service port.
func targetPort(port corev1.ServicePort, pod *corev1.Pod) (int32, bool) {
	if port.TargetPort.Type == intstr.String && port.TargetPort.StrVal != "" {
		return containerPort(pod, port.TargetPort.StrVal)
	}
	if port.TargetPort.IntVal == 0 {
		return port.Port, true
	}
	return port.TargetPort.IntVal, true
}

func containerPort(pod *corev1.Pod, name string) (int32, bool) {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == "" || port.Protocol == corev1.ProtocolTCP) {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}

// servicePort is the Service's TCP port of that number (TS-4: ports match by number and transport).
func servicePort(service *corev1.Service, number int32) (corev1.ServicePort, bool) {
	for _, port := range service.Spec.Ports {
		if port.Port == number && isTCPTransport(port) {
			return port, true
		}
	}
	return corev1.ServicePort{}, false
}

func isTCPTransport(port corev1.ServicePort) bool {
	return port.Protocol == "" || port.Protocol == corev1.ProtocolTCP
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
