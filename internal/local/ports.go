//go:build linux

package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// takenPort tells which port that the pod is known to need is held by another
// process, nil where none is. It is asked before anything of the pod runs, as
// afterwards the pod's own processes hold them, and as a probe would otherwise
// take whoever holds the port for the application.
func takenPort(pod *corev1.Pod, services []*corev1.Service, at pair) error {
	declared := declaredPorts(pod)
	for _, p := range declared {
		if err := tryPort("the application", at.app, p); err != nil {
			return err
		}
	}
	if !meshed(pod) {
		return nil
	}
	for _, p := range slices.Concat([]uint16{portProxy, portRequest}, declared, targetPorts(pod, services)) {
		if err := tryPort("the sidecar", at.sidecar, p); err != nil {
			return err
		}
	}
	return nil
}

// declaredPorts are the TCP ports that the pod's containers say they have.
func declaredPorts(pod *corev1.Pod) []uint16 {
	var ports []uint16
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.Protocol != corev1.ProtocolUDP && p.ContainerPort > 0 && p.ContainerPort < 1<<16 {
				ports = append(ports, uint16(p.ContainerPort))
			}
		}
	}
	return ports
}

// targetPorts are the ports that Services name of the pod by number. Those that
// they name by name are declared.
func targetPorts(pod *corev1.Pod, services []*corev1.Service) []uint16 {
	var ports []uint16
	for _, s := range services {
		if s.Namespace != pod.Namespace || len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, p := range s.Spec.Ports {
			if n := p.TargetPort.IntVal; p.Protocol != corev1.ProtocolUDP && n > 0 && n < 1<<16 {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

func tryPort(who string, address netip.Addr, port uint16) error {
	l, err := net.Listen("tcp", netip.AddrPortFrom(address, port).String())
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s cannot listen on %s:%d, because another process does, there or on all addresses: stop it ('ss -ltnp sport = :%d' names it), or give the pod another port; the pod starts once the port is free",
			who, address, port, port)
	default:
		return fmt.Errorf("%s cannot listen: %w", who, err)
	}
}
