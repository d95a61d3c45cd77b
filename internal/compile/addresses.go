package compile

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// addressList collects the addresses of a mesh.
type addressList struct {
	pods, services []netip.Prefix
	// usual are the ports that pods in those ranges have excluded, sorted.
	usual []uint16
	// meshed are the addresses of pods, each with the ports that they have excluded.
	// For a moment an old pod and a new one may have the same address: then those
	// that both have.
	meshed map[netip.Addr][]uint16
	// single are those of Services that are in no range, outside those of pods that
	// are in one and not meshed.
	single, outside []netip.Prefix
}

func newAddressList(c *Config) *addressList {
	usual := slices.Clone(c.Excluded.ExcludeInbound)
	slices.Sort(usual)
	return &addressList{pods: c.PodRanges, services: c.ServiceRanges, usual: slices.Compact(usual), meshed: map[netip.Addr][]uint16{}}
}

// addPod adds a meshed pod.
func (l *addressList) addPod(p *pod) {
	for _, a := range parsed(p.addresses) {
		ports := p.excluded
		if other, taken := l.meshed[a]; taken {
			ports = slices.DeleteFunc(slices.Clone(ports), func(port uint16) bool { return !slices.Contains(other, port) })
		}
		l.meshed[a] = ports
	}
}

// addService adds addresses of a Service.
func (l *addressList) addService(addresses []string) {
	for _, a := range parsed(addresses) {
		if !contain(l.pods, a) && !contain(l.services, a) {
			l.single = append(l.single, alone(a))
		}
	}
}

// except adds addresses of pods that are not meshed, once all others are known.
func (l *addressList) except(addresses []string) {
	for _, a := range parsed(addresses) {
		if _, meshed := l.meshed[a]; !meshed && (contain(l.pods, a) || contain(l.services, a)) {
			l.outside = append(l.outside, alone(a))
		}
	}
}

// addresses are those collected. A pod that is as most in its range are has no entry
// of its own.
func (l *addressList) addresses() *mesh.Addresses {
	byPorts := map[string]*mesh.PortException{}
	add := func(prefix netip.Prefix, ports []uint16) {
		e := byPorts[portsKey(ports)]
		if e == nil {
			e = &mesh.PortException{Ports: ports}
			byPorts[portsKey(ports)] = e
		}
		e.Addresses = append(e.Addresses, prefix)
	}
	for _, r := range l.services {
		add(r, nil)
	}
	for _, r := range l.pods {
		if !slices.Contains(l.services, r) {
			add(r, l.usual)
		}
	}
	for _, s := range l.single {
		add(s, nil)
	}
	for a, ports := range l.meshed {
		covered, usual := contain(l.services, a), []uint16(nil)
		if contain(l.pods, a) && !covered {
			covered, usual = true, l.usual
		}
		if !covered || !slices.Equal(ports, usual) {
			add(alone(a), ports)
		}
	}
	out := &mesh.Addresses{Outside: ordered(l.outside)}
	for _, key := range slices.Sorted(maps.Keys(byPorts)) {
		e := byPorts[key]
		if e.Addresses = ordered(e.Addresses); len(e.Ports) == 0 {
			out.Inside = e.Addresses
		} else {
			out.Exceptions = append(out.Exceptions, *e)
		}
	}
	return out
}

func sameAddresses(a, b *mesh.Addresses) bool {
	return slices.Equal(a.Inside, b.Inside) && slices.Equal(a.Outside, b.Outside) &&
		slices.EqualFunc(a.Exceptions, b.Exceptions, func(x, y mesh.PortException) bool {
			return slices.Equal(x.Ports, y.Ports) && slices.Equal(x.Addresses, y.Addresses)
		})
}

// portsKey is a list of ports as text that sorts as they do.
func portsKey(ports []uint16) string {
	var key []byte
	for _, p := range ports {
		key = append(key, byte(p>>8), byte(p))
	}
	return string(key)
}

func contain(ranges []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(a) })
}

func alone(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func ordered(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(list)
}
