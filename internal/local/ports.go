//go:build linux

package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// takenPort tells which port that the pod is known to need is held by another
// process, nil where none is. It is asked before anything of the pod runs, as
// afterwards the pod's own processes hold them, and as a probe would otherwise
// take whoever holds the port for the application.
func takenPort(pod *corev1.Pod, at pair) error {
	var sidecar, app []uint16
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.Protocol != corev1.ProtocolUDP && p.ContainerPort > 0 && p.ContainerPort < 1<<16 {
				app = append(app, uint16(p.ContainerPort))
			}
		}
	}
	if meshed(pod) {
		sidecar = append(sidecar, portProxy, portRequest)
		sidecar = append(sidecar, app...)
	}
	for _, p := range app {
		if err := tryPort("the application", at.app, p); err != nil {
			return err
		}
	}
	for _, p := range sidecar {
		if err := tryPort("the sidecar", at.sidecar, p); err != nil {
			return err
		}
	}
	return nil
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
