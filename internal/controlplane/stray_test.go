package controlplane

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/scaletest"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

const extensionType = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"

// TestStrayProxyIsDrained shows that a proxy which comes from another control plane
// with rules that have changed since has what is open at their port closed, and
// that one which comes with the same rules has not (AC-17).
func TestStrayProxyIsDrained(t *testing.T) {
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	w := scaletest.New(scaletest.Standard(4))
	s := store.New()
	s.Replace(w.Objects)
	c := New(Config{Store: s, CA: ca, Place: w.Placement})
	c.Push()
	node, rules, port, account := servedRules(t, c)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = c.Run(ctx, listener) }()
	source := c.mesh.Policy(account).Grants[0].Sources[0]
	epoch := func() uint64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.epochs.Of(account, port, source)
	}
	version := c.published[node].Resource(extensionType, rules).Version

	resume(ctx, t, c, listener.Addr().String(), account, node, map[string]string{rules: version})
	if got := epoch(); got != 0 {
		t.Errorf("a proxy with the current rules: epoch %d, want none", got)
	}
	resume(ctx, t, c, listener.Addr().String(), account, node, map[string]string{rules: "of another time"})
	first := epoch()
	if first == 0 {
		t.Error("a proxy with other rules keeps what is open")
	}
	resume(ctx, t, c, listener.Addr().String(), account, node, map[string]string{rules: "of another time"})
	if got := epoch(); got != first {
		t.Error("the second proxy of the same policy closes connections again")
	}
	resume(ctx, t, c, listener.Addr().String(), account, node, map[string]string{"access|65000": "of another time"})
	closed := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.closed)
	}
	if n := closed(); n != 1 {
		t.Errorf("%d ports were closed, with one that nobody has", n)
	}
	s.Replace(nil)
	c.Push()
	if n := closed(); n != 0 {
		t.Errorf("%d ports are remembered of a mesh that is gone", n)
	}
}

// servedRules finds a proxy with rules for a port.
func servedRules(t *testing.T, c *ControlPlane) (node, rules string, port uint16, account mesh.Account) {
	t.Helper()
	for _, w := range c.mesh.Workloads {
		if w.Policy == nil || len(w.Pods) == 0 {
			continue
		}
		for node := range c.published {
			if node != w.Pods[0].String() {
				continue
			}
			names := c.published[node].Names(extensionType)
			i := slices.IndexFunc(names, func(n string) bool { return len(portsOf([]string{n})) > 0 && n[:7] == "access|" })
			if i < 0 {
				continue
			}
			for port := range portsOf(names[i : i+1]) {
				return node, names[i], port, w.Account
			}
		}
	}
	t.Fatal("no proxy has rules")
	return "", "", 0, mesh.Account{}
}

// resume connects as a proxy that has resources already, and returns when the
// control plane has taken note of them.
func resume(ctx context.Context, t *testing.T, c *ControlPlane, address string, account mesh.Account, node string, has map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	keeper := identity.NewKeeper(c.config.CA.Source(account), nil)
	go func() { _ = keeper.Run(ctx) }()
	if _, err := keeper.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	tls := identity.ClientTLS(keeper, c.config.CA.Bundle(), mesh.PrincipalOf("cluster.local", identity.XDSAccount))
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := &discovery.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: extensionType, InitialResourceVersions: has}
	for name := range has {
		request.ResourceNamesSubscribe = append(request.ResourceNamesSubscribe, name)
	}
	if err := errors.Join(stream.Send(request), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return // The end of the stream comes after all that was asked.
		}
	}
}
