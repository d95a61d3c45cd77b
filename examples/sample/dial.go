package main

import (
	"context"
	"net"
	"strings"
)

// dialer opens connections for clients that take no HTTP proxy.
type dialer struct {
	net.Dialer
	namespace string
	getenv    func(string) string
}

// dial connects to a Service's address: where the environment tells of a
// listener of the pod's own sidecar for it, there; else wherever the name leads.
func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		if listener := d.getenv(d.variable(host, port)); listener != "" {
			address = listener
		}
	}
	return d.DialContext(ctx, "tcp", address)
}

// variable is the name under which the standalone runtime tells of such a
// listener: SMI_UPSTREAM_<SERVICE>_<NAMESPACE>_<PORT>. A host without a
// namespace is in the pod's own.
func (d *dialer) variable(host, port string) string {
	service, rest, qualified := strings.Cut(strings.TrimSuffix(host, "."), ".")
	namespace := d.namespace
	if qualified {
		namespace, _, _ = strings.Cut(rest, ".")
	}
	name := strings.Join([]string{"SMI_UPSTREAM", service, namespace, port}, "_")
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
