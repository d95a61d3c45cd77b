package compile

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/mesh"
)

// byAppProtocol are the values of a Service port's appProtocol that declare
// its protocol (PR-1). Any other value declares nothing. "udp" on a port whose
// transport is TCP can only mean that it is not HTTP.
var byAppProtocol = map[string]mesh.Protocol{
	"http":              mesh.HTTP,
	"kubernetes.io/ws":  mesh.HTTP,
	"http2":             mesh.HTTP2,
	"grpc":              mesh.HTTP2,
	"kubernetes.io/h2c": mesh.HTTP2,
	"tcp":               mesh.TCP,
	"tls":               mesh.TCP,
	"https":             mesh.TCP,
	"kubernetes.io/wss": mesh.TCP,
	"udp":               mesh.TCP,
}

// byPortName are the names, alone or followed by -suffix, that declare a
// Service port's protocol (PR-1).
var byPortName = map[string]mesh.Protocol{
	"http":  mesh.HTTP,
	"http2": mesh.HTTP2,
	"grpc":  mesh.HTTP2,
	"tcp":   mesh.TCP,
	"tls":   mesh.TCP,
	"https": mesh.TCP,
	"udp":   mesh.TCP,
}

// declaredProtocol is what a Service port declares (PR-1), and Undeclared where
// it declares nothing.
func declaredProtocol(p *corev1.ServicePort) mesh.Protocol {
	if p.Protocol == corev1.ProtocolUDP || p.Protocol == corev1.ProtocolSCTP {
		return mesh.UDP
	}
	if p.AppProtocol != nil {
		if protocol, ok := byAppProtocol[*p.AppProtocol]; ok {
			return protocol
		}
	}
	name, _, _ := strings.Cut(p.Name, "-")
	if protocol, ok := byPortName[name]; ok {
		return protocol
	}
	return mesh.Undeclared
}

// orServerFirst makes an undeclared protocol TCP where the port number is a
// usual one of servers that speak first (PR-2).
func orServerFirst(protocol mesh.Protocol, number uint16) mesh.Protocol {
	if protocol == mesh.Undeclared && mesh.UsuallyServerFirst(number) {
		return mesh.TCP
	}
	return protocol
}

// agree combines what two Services say of one pod port: HTTP in any version is
// HTTP, a Service that declares nothing does not contradict, and anything else
// that differs is TCP (PR-1).
func agree(a, b mesh.Protocol) mesh.Protocol {
	switch {
	case a == b || b == mesh.Undeclared:
		return a
	case a == mesh.Undeclared:
		return b
	case a.SpeaksHTTP() && b.SpeaksHTTP():
		return mesh.HTTP
	default:
		return mesh.TCP
	}
}
