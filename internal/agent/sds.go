package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"

	"github.com/smi-project/smi/internal/identity"
)

// secrets serves an SVID to Envoy as the secrets SecretIdentity and SecretRoots,
// by state-of-the-world and delta SDS, and pushes a new one to every stream.
type secrets struct {
	cache   *cachev3.LinearCache
	current *identity.SVID
}

func newSecrets() *secrets {
	return &secrets{cache: cachev3.NewLinearCache(resourcev3.SecretType)}
}

// register adds the secret discovery service to a gRPC server.
func (s *secrets) register(ctx context.Context, to *grpc.Server, logger *slog.Logger) {
	refused := func(names []string, detail string) {
		logger.Error("Envoy refused a secret", "secrets", names, "reason", detail)
	}
	callbacks := serverv3.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			if r.GetErrorDetail() != nil {
				refused(r.GetResourceNames(), r.GetErrorDetail().GetMessage())
			}
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			if r.GetErrorDetail() != nil {
				refused(r.GetResourceNamesSubscribe(), r.GetErrorDetail().GetMessage())
			}
			return nil
		},
	}
	secretv3.RegisterSecretDiscoveryServiceServer(to, serverv3.NewServer(ctx, s.cache, callbacks))
}

// publish makes an SVID current, certificate and key in one step. The roots are
// sent only where they changed.
func (s *secrets) publish(svid *identity.SVID) error {
	key, err := svid.KeyPEM()
	if err != nil {
		return err
	}
	update := map[string]types.Resource{
		SecretIdentity: &tlsv3.Secret{Name: SecretIdentity, Type: &tlsv3.Secret_TlsCertificate{
			TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(svid.ChainPEM), PrivateKey: inline(key)},
		}},
	}
	if s.current == nil || !bytes.Equal(s.current.BundlePEM, svid.BundlePEM) {
		update[SecretRoots] = &tlsv3.Secret{Name: SecretRoots, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(svid.BundlePEM)},
		}}
	}
	if err := s.cache.UpdateResources(update, nil); err != nil {
		return fmt.Errorf("publish %s: %w", svid, err)
	}
	s.current = svid
	return nil
}

// follow publishes every further SVID of the keeper until the context ends.
func (s *secrets) follow(ctx context.Context, keeper *identity.Keeper) error {
	for {
		changed := keeper.Changed()
		if svid := keeper.Current(); svid != s.current {
			if err := s.publish(svid); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func inline(content []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: content}}
}
