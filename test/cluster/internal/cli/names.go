package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// probeName is a name that every cluster has.
const probeName = "kubernetes.default.svc.cluster.local."

// awaitNames waits until the cluster's name server answers the machine at each
// of its addresses. That takes all there is: a pod, its Service and the routes.
func awaitNames(ctx context.Context, servers []netip.Addr) error {
	for _, server := range servers {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
		}}
		if err := awaitName(ctx, resolver); err != nil {
			return fmt.Errorf("the name server of the cluster does not answer at %s: %w", server, err)
		}
	}
	return nil
}

func awaitName(ctx context.Context, resolver *net.Resolver) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		// A packet that is sent too early is lost, and the resolver would wait for
		// its answer much longer than the cluster needs.
		try, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := resolver.LookupHost(try, probeName)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
