package xds

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

// instant acknowledges whatever it is sent, once the sender lets it.
type instant struct {
	responses atomic.Int64
	acks      chan *discovery.DeltaDiscoveryRequest
}

func (i *instant) SendMsg(message any) error {
	r := message.(*response)
	i.responses.Add(1)
	i.acks <- &discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[r.kind], ResponseNonce: r.nonce}
	return nil
}

// attach connects a proxy without a network, which has subscribed to listeners.
func attach(s *Server, id string) (*stream, *instant) {
	out := &instant{acks: make(chan *discovery.DeltaDiscoveryRequest, int(kindCount))}
	st := &stream{id: id, out: out, server: s}
	s.connect(st)
	if err := st.handle(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURLs[listeners]}); err != nil {
		panic(err)
	}
	return st, out
}

// benchView is a view of the given listeners and one of a version of its own.
func benchView(rest []*envoy.Resource, version int) *View {
	changed := &envoy.Resource{Type: typeURLs[listeners], Name: "changed", Version: fmt.Sprint(version), Body: [][]byte{{}}}
	return NewView(rest, []*envoy.Resource{changed})
}

// BenchmarkPublish publishes to 5,000 connected proxies of which some are
// touched, until those have acknowledged.
func BenchmarkPublish(b *testing.B) {
	const proxies = 5_000
	for _, touched := range []int{0, 10, proxies} {
		b.Run(fmt.Sprintf("touched=%d", touched), func(b *testing.B) {
			s := New(Config{
				PeerPrincipal: func(tls.ConnectionState) (mesh.Principal, error) { return "", nil },
				Authorize:     func(context.Context, mesh.Principal, string) error { return nil },
			})
			views := make(map[string]*View, proxies)
			streams := make([]*stream, proxies)
			outs := make([]*instant, proxies)
			rest := make([]*envoy.Resource, 200)
			for i := range rest {
				rest[i] = &envoy.Resource{Type: typeURLs[listeners], Name: fmt.Sprintf("listener-%d", i), Version: "1", Body: [][]byte{{}}}
			}
			first := benchView(rest, 0)
			for i := range streams {
				id := fmt.Sprintf("ns/pod-%d", i)
				views[id] = first
				streams[i], outs[i] = attach(s, id)
			}
			s.Publish(views)
			acknowledge(b, streams, outs)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 1; b.Loop(); n++ {
				next := benchView(rest, n)
				for i := range touched {
					views[streams[i].id] = next
				}
				s.Publish(views)
				acknowledge(b, streams[:touched], outs)
			}
		})
	}
}

// acknowledge answers one response of each stream.
func acknowledge(b *testing.B, streams []*stream, outs []*instant) {
	for i, st := range streams {
		if err := st.handle(<-outs[i].acks); err != nil {
			b.Fatal(err)
		}
	}
}
