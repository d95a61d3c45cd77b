//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// listenerType is the type of what a proxy asks for first.
const listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"

// intruder asks the installed controller for what is not its own.
type intruder struct {
	// address leads to the controller; roots are the mesh's.
	address, roots string
}

// TestCertificatesOfOthers asks the controller for certificates with tokens that
// prove nothing.
func TestCertificatesOfOthers(t *testing.T) {
	const ns = "e2e-tokens"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "bank"}.yaml()+workload{namespace: ns, name: "thief"}.yaml()+
		workload{namespace: ns, name: "plain", podLabels: map[string]string{"smi-spec.io/inject": "disabled"}}.yaml())
	here.running(t, ns)
	in := here.intrude(t, ns)
	bank, thief, plain := here.pod(t, ns, "app=bank"), here.pod(t, ns, "app=thief"), here.pod(t, ns, "app=plain")

	// The tokens are good but for what each is named after.
	svid, err := in.certificate(t, here.token(t, thief, sidecar.TokenAudience, true))
	if err != nil {
		t.Fatal(err)
	}
	if want := mesh.PrincipalOf("cluster.local", mesh.Account{Namespace: ns, Name: "thief"}); svid.Principal != want {
		t.Errorf("the thief got a certificate of %s", svid.Principal)
	}
	stolen := here.token(t, bank, sidecar.TokenAudience, true)
	now := int64(0)
	if err := here.core.CoreV1().Pods(ns).Delete(t.Context(), bank.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		want  codes.Code
	}{
		"of another audience":    {here.token(t, thief, "https://kubernetes.default.svc", true), codes.Unauthenticated},
		"bound to no pod":        {here.token(t, thief, sidecar.TokenAudience, false), codes.Unauthenticated},
		"of a pod that is gone":  {stolen, codes.Unauthenticated},
		"of a pod without proxy": {here.token(t, plain, sidecar.TokenAudience, true), codes.PermissionDenied},
		"that nobody signed":     {"e30.e30.e30", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			// The API server may know for a moment what it has answered before.
			eventually(t, "it is refused", func(context.Context) string {
				svid, err := in.certificate(t, test.token)
				if err == nil {
					return "it gets a certificate of " + string(svid.Principal)
				}
				if !strings.Contains(err.Error(), test.want.String()+": ") {
					t.Fatal(err)
				}
				return ""
			})
		})
	}
}

// TestConfigurationOfOthers asks the controller for configurations, with the
// certificate of another account and without any.
func TestConfigurationOfOthers(t *testing.T) {
	const ns = "e2e-views"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "bank"}.yaml()+workload{namespace: ns, name: "thief"}.yaml())
	here.running(t, ns)
	in := here.intrude(t, ns)
	bank, thief := here.pod(t, ns, "app=bank"), here.pod(t, ns, "app=thief")
	svid, err := in.certificate(t, here.token(t, thief, sidecar.TokenAudience, true))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		pod         string
		want        codes.Code
	}{
		"its own":                        {svid.TLSCertificate(), thief.Name, codes.OK},
		"another's":                      {svid.TLSCertificate(), bank.Name, codes.PermissionDenied},
		"nobody's":                       {svid.TLSCertificate(), "nobody", codes.PermissionDenied},
		"its own, without a certificate": {nil, thief.Name, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			if code, err := in.configuration(t, test.certificate, ns+"/"+test.pod); code != test.want {
				t.Errorf("%v; wanted %s", err, test.want)
			}
		})
	}
}

// TestSidecarIsClosed sees what an application finds of the sidecar in its own pod.
func TestSidecarIsClosed(t *testing.T) {
	const ns = "e2e-closed"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "thief"}.yaml())
	here.running(t, ns)
	pod := here.pod(t, ns, "app=thief")
	t.Run("volumes", func(t *testing.T) {
		own := []string{sidecar.VolumeRun, sidecar.VolumeToken, sidecar.VolumeRoots}
		for _, c := range pod.Spec.Containers {
			for _, m := range c.VolumeMounts {
				if slices.Contains(own, m.Name) {
					t.Errorf("the container %s mounts %s", c.Name, m.Name)
				}
			}
		}
		if pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace {
			t.Error("the containers share their processes")
		}
	})
	t.Run("ports", func(t *testing.T) {
		// Envoy's and the agent's own interfaces are Unix sockets in a volume of theirs, and
		// what is redirected to Envoy's ports is taken from nobody who calls them himself.
		open := map[uint16]bool{sidecar.PortMetrics: true, sidecar.PortHealth: true, sidecar.PortProbes: true}
		from := here.sender(t, ns, "thief")
		for _, port := range append(span(14990, 15050), 9901, 19000) {
			if got := from.send(t, tcp("127.0.0.1", port)); (got != "refused") != open[port] {
				t.Errorf("port %d: %s", port, got)
			}
		}
		for _, path := range []string{"/config_dump", "/certs", "/quitquitquit", "/logging"} {
			for port := range open {
				if got := from.send(t, get("127.0.0.1", port, path)); strings.HasPrefix(got, "200") {
					t.Errorf("port %d gives %s", port, path)
				}
			}
		}
	})
}

// span are the ports from one to another.
func span(from, to uint16) []uint16 {
	var all []uint16
	for p := from; p <= to; p++ {
		all = append(all, p)
	}
	return all
}

// token is one for the ServiceAccount of a pod, made by the API server.
func (c *cluster) token(t *testing.T, pod *corev1.Pod, audience string, bound bool) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if bound {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	got, err := c.core.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(t.Context(), pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Token
}

// intrude makes a way to the controller, and takes the roots that a pod of the
// namespace is given.
func (c *cluster) intrude(t *testing.T, namespace string) *intruder {
	t.Helper()
	roots, err := c.core.CoreV1().ConfigMaps(namespace).Get(t.Context(), sidecar.RootsConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := &intruder{roots: roots.Data[sidecar.RootsKey]}
	controller := c.pod(t, system, controllers).Name
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	in.address = listener.Addr().String()
	ctx := t.Context()
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := c.forward.Dial(ctx, system, controller, sidecar.PortControl)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, near) }()
				_, _ = io.Copy(near, far)
			}()
		}
	}()
	return in
}

// certificate asks for a certificate with a token, as an agent does.
func (in *intruder) certificate(t *testing.T, token string) (*identity.SVID, error) {
	t.Helper()
	dir := t.TempDir()
	source := &certify.Client{Address: in.address, TrustDomain: "cluster.local", TokenPath: filepath.Join(dir, "token"), RootsPath: filepath.Join(dir, "roots")}
	for path, text := range map[string]string{source.TokenPath: token, source.RootsPath: in.roots} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var refused error
	keeper := identity.NewKeeper(identity.SourceFunc(func(ctx context.Context, csr []byte) ([]byte, []byte, error) {
		chain, bundle, err := source.Certificate(ctx, csr)
		if err != nil {
			refused = err
			stop() // Once is enough.
		}
		return chain, bundle, err
	}), nil)
	go func() { _ = keeper.Run(ctx) }()
	svid, err := keeper.Wait(ctx)
	if err != nil && refused != nil {
		return nil, refused
	}
	return svid, err
}

// configuration asks for the listeners of a node, and returns how that ended.
func (in *intruder) configuration(t *testing.T, certificate *tls.Certificate, node string) (codes.Code, error) {
	t.Helper()
	bundle, err := identity.ParseBundle("cluster.local", []byte(in.roots))
	if err != nil {
		t.Fatal(err)
	}
	config := identity.VerifyTLS(bundle, mesh.PrincipalOf("cluster.local", identity.XDSAccount))
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	connection, err := grpc.NewClient("passthrough:///"+in.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return status.Code(err), err
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: listenerType}); err != nil && !errors.Is(err, io.EOF) {
		return status.Code(err), err
	}
	got, err := stream.Recv()
	if err != nil {
		return status.Code(err), err
	}
	return codes.OK, fmt.Errorf("it gets %d listeners", len(got.GetResources()))
}
