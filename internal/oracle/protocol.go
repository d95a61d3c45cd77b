package oracle

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// protocol is what a port speaks (PR-1, PR-2).
type protocol int

const (
	undeclared   protocol = iota // the bytes decide
	declaredHTTP                 // HTTP/1.1, HTTP/2 and gRPC (PR-3)
	declaredTCP
)

// isHTTP says whether a client that sends this is treated as HTTP on such a port: declared so, or undeclared and the bytes
// are a request (PR-2).
func (p protocol) isHTTP(request *HTTP) bool {
	return p == declaredHTTP || p == undeclared && request != nil
}

// serverFirstPorts are TCP unless declared (PR-2).
var serverFirstPorts = []int32{25, 587, 3306, 4444, 5432, 6379, 9300, 11211}

// declaration is what a Service port says of itself: appProtocol first, else its name (PR-1).
// Reading: an appProtocol outside the vocabulary declares nothing, and the name is asked.
func declaration(port corev1.ServicePort) protocol {
	if port.AppProtocol != nil {
		switch *port.AppProtocol {
		case "http", "http2", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws":
			return declaredHTTP
		case "tcp", "tls", "https", "kubernetes.io/wss", "udp":
			return declaredTCP
		}
	}
	// PR-1: the word alone or followed by a suffix; "httpx" declares nothing.
	word, _, _ := strings.Cut(port.Name, "-")
	switch word {
	case "http", "http2", "grpc":
		return declaredHTTP
	case "tcp", "tls", "https", "udp":
		return declaredTCP
	}
	return undeclared
}

// clientProtocol is what the client's side takes a Service port for.
// Reading: the client sees the Service port alone, so neither other Services of the same pods nor the target port count here.
func clientProtocol(port corev1.ServicePort) protocol {
	return unlessServerFirst(declaration(port), port.Port)
}

// serverProtocol is what the pod's side takes a pod port for: what all Services in front of it say.
func (w *World) serverProtocol(pod *corev1.Pod, podPort int32) protocol {
	said := undeclared
	for _, service := range w.Services {
		if !selects(service, pod) {
			continue
		}
		for _, port := range service.Spec.Ports {
			if !isTCPTransport(port) {
				continue
			}
			if target, ok := targetPort(port, pod); !ok || target != podPort {
				continue
			}
			// PR-1: declared differently is TCP. Reading: silence is no declaration, and HTTP/1.1, HTTP/2 and gRPC are one (PR-3).
			switch d := declaration(port); {
			case d == undeclared:
			case said == undeclared:
				said = d
			case said != d:
				return declaredTCP
			}
		}
	}
	return unlessServerFirst(said, podPort)
}

func unlessServerFirst(declared protocol, port int32) protocol {
	if declared == undeclared && slices.Contains(serverFirstPorts, port) {
		return declaredTCP
	}
	return declared
}
