package envoy

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

var protoUnmarshal = proto.UnmarshalOptions{}

// Every supported Envoy must accept what each class gets, in every mode.
func TestEnvoyAccepts(t *testing.T) {
	ca := envoytest.NewCA(t)
	for release, binary := range envoytest.Binaries(t) {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			for _, o := range []Options{{}, {Metrics: Stats, AccessLogPath: "/dev/null", EncodedSlashes: true}} {
				for _, mode := range []mesh.Mode{mesh.Strict, mesh.Audit} {
					w := &town{mode: mode, grants: webGrants(), address: fixedAddress(30), weight: 10}
					m := w.mesh()
					for node, resources := range New(o).Render(m, w.proxies(m), Epochs{}) {
						envoytest.Validate(t, envoytest.Config{Binary: binary, CA: ca, Principal: mesh.Principal("spiffe://cluster.local/ns/" + node), Resources: bodies(t, resources)})
					}
				}
			}
		})
	}
}
