//go:build linux

package local

import (
	"fmt"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// splits compares the splits of the mesh with what was seen of them.
func (rt *Runtime) splits(m *mesh.Mesh) []SplitStatus {
	all := []SplitStatus{}
	if m == nil {
		return all
	}
	for _, service := range m.Services {
		for _, port := range service.Ports {
			for _, split := range port.Splits {
				all = append(all, splitStatus(port, split, rt.traffic.sent(keyOf(port, split))))
			}
		}
	}
	return all
}

func splitStatus(port *mesh.ServicePort, split *mesh.Split, sent map[string]uint64) SplitStatus {
	s := SplitStatus{
		Namespace: split.Name.Namespace, Name: split.Name.Name, Service: port.Service.Name, Port: port.Number, Matches: split.Matches != nil,
	}
	var requests uint64
	for _, n := range sent {
		requests += n
	}
	for _, b := range split.Backends {
		n := sent[label(b.Service, b.Port)]
		s.Backends = append(s.Backends, BackendStatus{
			Service: b.Service.Name, Weight: b.Weight, Wanted: fraction(uint64(b.Weight), split.TotalWeight()),
			Requests: n, Observed: fraction(n, requests),
		})
	}
	return s
}

// fraction is 0 where there is nothing to share.
func fraction(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func keyOf(port *mesh.ServicePort, split *mesh.Split) splitKey {
	return splitKey{split: split.Name.String(), service: label(port.Service, port.Number)}
}

// label is how access logs name a Service port.
func label(service mesh.Name, port uint16) string { return fmt.Sprintf("%s:%d", service, port) }

// weightsOf is equal for splits that share traffic alike.
func weightsOf(split *mesh.Split) string {
	var b strings.Builder
	for _, backend := range split.Backends {
		fmt.Fprintf(&b, "%s=%d ", label(backend.Service, backend.Port), backend.Weight)
	}
	return b.String()
}
