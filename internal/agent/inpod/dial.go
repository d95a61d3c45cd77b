package inpod

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/smi-project/smi/mesh"
)

// dialer connects to the application of the pod past the sidecar: what comes from
// a delivery address is not redirected.
type dialer struct {
	pod      []netip.Addr
	delivery []netip.Addr
}

func newDialer(pod, delivery []netip.Addr) *dialer { return &dialer{pod: pod, delivery: delivery} }

// host is where the application is asked, unless it is said otherwise.
func (d *dialer) host(declared string) string {
	if declared != "" {
		return declared
	}
	return d.pod[0].String()
}

// DialContext connects to an address; to one of the pod's own from the delivery
// address of its family. It does not connect to the sidecar's ports, to which an
// application may redirect: from that address, the sidecar would ask itself.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || mesh.OfSidecar(uint16(number)) {
		return nil, fmt.Errorf("port %s is the sidecar's or none at all", port)
	}
	var plain net.Dialer
	if to, err := netip.ParseAddr(host); err == nil && slices.Contains(d.pod, to) {
		plain.LocalAddr = d.source(to)
	}
	return plain.DialContext(ctx, network, address)
}

func (d *dialer) source(to netip.Addr) net.Addr {
	for _, from := range d.delivery {
		if from.Is4() == to.Is4() {
			return net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
	}
	return nil
}
