package controller

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	"github.com/smi-project/smi/internal/certify"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/mesh"
)

// meshed creates a pod as it is after injection, which runs and is ready.
func (c *cluster) meshed(name, address string) *corev1.Pod {
	c.t.Helper()
	p := pod("shop", name)
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: sidecar.Container, Image: "proxy", RestartPolicy: &always}}
	c.create(p)
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if err := c.Status().Update(context.Background(), p); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// credentials are what a kubelet gives to a pod: a token bound to it, and the roots
// that the leader tells to its namespace.
func (c *cluster) credentials(p *corev1.Pod, controlPort string) *certify.Client {
	c.t.Helper()
	folder := c.t.TempDir()
	hour := int64(3600)
	review := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{sidecar.TokenAudience}, ExpirationSeconds: &hour,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID},
	}}
	owner := &corev1.ServiceAccount{ObjectMeta: meta(p.Namespace, p.Spec.ServiceAccountName)}
	if err := c.SubResource("token").Create(context.Background(), owner, review); err != nil {
		c.t.Fatal(err)
	}
	roots := &corev1.ConfigMap{}
	kubetest.Eventually(c.t, func(ctx context.Context) error {
		return c.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: sidecar.RootsConfigMap}, roots)
	})
	source := &certify.Client{Address: controlPort, TrustDomain: "cluster.local", TokenPath: filepath.Join(folder, "token"), RootsPath: filepath.Join(folder, "roots")}
	for path, text := range map[string]string{source.TokenPath: review.Status.Token, source.RootsPath: roots.Data[sidecar.RootsKey]} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return source
}

// proxy is a client of discovery that answers as it is told.
type proxy struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   string
	cancel func()
}

const typePrefix = "type.googleapis.com/envoy.config."

// connect asks for clusters and listeners with the certificate that the pod gets.
func (r *replica) connect(t *testing.T, source identity.CertificateSource, node string) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	keeper := identity.NewKeeper(source, r.log)
	go func() { _ = keeper.Run(ctx) }()
	bounded, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if _, err := keeper.Wait(bounded); err != nil {
		t.Fatal(err)
	}
	tls := identity.ClientTLS(keeper, r.ca.Bundle(), mesh.PrincipalOf("cluster.local", identity.XDSAccount))
	connection, err := grpc.NewClient("passthrough:///"+r.options.Addresses.Control, grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, stream: stream, node: node, cancel: cancel}
	for _, kind := range []string{"cluster.v3.Cluster", "listener.v3.Listener"} {
		p.send(&discovery.DeltaDiscoveryRequest{TypeUrl: typePrefix + kind})
	}
	return p
}

func (p *proxy) send(request *discovery.DeltaDiscoveryRequest) {
	p.t.Helper()
	request.Node = &corev3.Node{Id: p.node}
	if err := p.stream.Send(request); err != nil {
		p.t.Error(err)
	}
}

// answer answers everything until the stream ends: it refuses listeners for a
// reason, or acknowledges them where there is none.
func (p *proxy) answer(reason string) {
	for {
		response, err := p.stream.Recv()
		if err != nil {
			return
		}
		answer := &discovery.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(), Node: &corev3.Node{Id: p.node}}
		if reason != "" && response.GetTypeUrl() == typePrefix+"listener.v3.Listener" {
			answer.ErrorDetail = &statuspb.Status{Message: reason}
		}
		if p.stream.Send(answer) != nil {
			return
		}
		if names := endpointsOf(response); len(names) > 0 {
			_ = p.stream.Send(&discovery.DeltaDiscoveryRequest{
				TypeUrl: typePrefix + "endpoint.v3.ClusterLoadAssignment", ResourceNamesSubscribe: names, Node: answer.GetNode(),
			})
		}
	}
}

// endpointsOf are the names of the endpoints that a proxy asks for when it gets
// clusters.
func endpointsOf(response *discovery.DeltaDiscoveryResponse) []string {
	var names []string
	for _, r := range response.GetResources() {
		cluster := &clusterv3.Cluster{}
		if r.GetResource().MessageIs(cluster) && r.GetResource().UnmarshalTo(cluster) == nil && cluster.GetEdsClusterConfig() != nil {
			names = append(names, cmp.Or(cluster.GetEdsClusterConfig().GetServiceName(), cluster.GetName()))
		}
	}
	return names
}

// TestProxies follows a pod from its token to what its proxy says of a
// TrafficTarget.
func TestProxies(t *testing.T) {
	c := newCluster(t)
	c.installCRDs()
	c.namespace("shop", map[string]string{sidecar.LabelInject: sidecar.InjectEnabled})
	r := c.start("one")
	web := c.meshed("web", "10.244.0.5")
	c.create(&specs.HTTPRouteGroup{ObjectMeta: meta("shop", "routes"), Spec: specs.HTTPRouteGroupSpec{Matches: []specs.HTTPMatch{{Name: "all"}}}})
	opened := target("opened", "routes")
	c.create(opened)
	conditions := func() []metav1.Condition { return opened.Status.Conditions }
	c.says(opened, conditions, status.Programmed, metav1.ConditionTrue, status.ReasonProgrammed)

	source := c.credentials(web, r.options.Addresses.Control)
	silent := r.connect(t, source, "shop/web")
	kubetest.Eventually(t, func(context.Context) error {
		if s, _ := r.reporter.collect(r.plane.Load()); s.Connected != 1 || s.InSync != 0 {
			return errors.New("the proxy is not connected")
		}
		return nil
	})
	opened.Spec.Rules[0].Matches = []string{"all"}
	if err := c.Update(context.Background(), opened); err != nil {
		t.Fatal(err)
	}
	c.says(opened, conditions, status.Programmed, metav1.ConditionFalse, status.ReasonPending)
	silent.cancel()

	refusing := r.connect(t, source, "shop/web")
	go refusing.answer("address already in use")
	c.says(opened, conditions, status.Programmed, metav1.ConditionFalse, status.ReasonRejected)
	if n := testutil.ToFloat64(r.metrics.rejections); n < 1 {
		t.Errorf("%v rejections were counted", n)
	}
	refusing.cancel()

	willing := r.connect(t, source, "shop/web")
	go willing.answer("")
	c.says(opened, conditions, status.Programmed, metav1.ConditionTrue, status.ReasonProgrammed)
	if got := testutil.ToFloat64(r.metrics.proxies.WithLabelValues(stateInSync)); got != 1 {
		t.Errorf("%v proxies are counted as in sync, want 1", got)
	}
}

// TestEndingReplicaSendsProxiesAway shows that the stream of a proxy ends with its
// replica, so that the proxy looks for another one.
func TestEndingReplicaSendsProxiesAway(t *testing.T) {
	c := newCluster(t)
	c.installCRDs()
	c.namespace("shop", map[string]string{sidecar.LabelInject: sidecar.InjectEnabled})
	r := c.start("one")
	web := c.meshed("web", "10.244.0.5")
	p := r.connect(t, c.credentials(web, r.options.Addresses.Control), "shop/web")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.answer("")
	}()
	kubetest.Eventually(t, func(context.Context) error {
		if s, _ := r.reporter.collect(r.plane.Load()); s.InSync != 1 {
			return errors.New("the proxy is not in sync")
		}
		return nil
	})
	r.stop()
	select {
	case <-ended:
	default:
		t.Error("the replica has ended, and the stream of its proxy goes on")
	}
}
