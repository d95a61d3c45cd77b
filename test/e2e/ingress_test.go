//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestIngress puts a real HAProxy into the mesh, open to clients without identity, in
// front of a Service with a TrafficSplit, which it calls by its ClusterIP.
func TestIngress(t *testing.T) {
	image := os.Getenv("E2E_HAPROXY")
	if image == "" {
		t.Skip("E2E_HAPROXY names no image of HAProxy that the cluster has; tools/haproxy.sh packs one")
	}
	const ns = "e2e-ingress"
	here.namespace(t, ns, meshed())
	group := map[string]string{"group": "shop"}
	here.apply(t, workload{namespace: ns, name: "v1", podLabels: group, ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "v2", podLabels: group, ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "visitor", podLabels: map[string]string{"smi-spec.io/inject": "disabled"}}.yaml()+
		allow(ns, "v1", ns+"/ingress")+allow(ns, "v2", ns+"/ingress")+fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: shop}
spec: {selector: {group: shop}, ports: [{name: http, port: 8080}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {namespace: %[1]s, name: shop}
spec: {service: shop, backends: [{service: v1, weight: 75}, {service: v2, weight: 25}]}
`, ns))
	shop, err := here.core.CoreV1().Services(ns).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	here.apply(t, strings.NewReplacer("$NAMESPACE", ns, "$HAPROXY", image, "$SHOP", shop.Spec.ClusterIP).Replace(ingress))
	here.running(t, ns)
	here.condition(t, "TrafficSplit", ns, "shop", "Programmed", "True")

	visitor := here.sender(t, ns, "visitor")
	request := get("ingress."+ns, 8080, "/")
	request.Authority = "shop.example.org"
	visitor.getsAny(t, []string{"200 from " + ns + "/v1", "200 from " + ns + "/v2"}, request)
	// What the ingress is not asked to open stays closed, and so does what is behind it.
	visitor.gets(t, "closed", tcp("v1."+ns, 8080))
	visitor.gets(t, "closed", tcp("shop."+ns, 8080))

	const n = 2000
	request.Count, request.Concurrency = n, 8
	got, err := visitor.client.Send(t.Context(), &request)
	if err != nil {
		t.Fatal(err)
	}
	first, second := got.Pods[ns+"/v1"], got.Pods[ns+"/v2"]
	t.Logf("of %d requests %d were served by v1 and %d by v2", n, first, second)
	if first+second != n {
		t.Errorf("the answers are %v", got.Words)
	}
	// Five standard deviations: one run in a million fails by chance.
	const share = 0.25
	if off := math.Abs(float64(second) - n*share); off > 5*math.Sqrt(n*share*(1-share)) {
		t.Errorf("v2 has %d of %d, and its weight is %.2f", second, n, share)
	}
}

// ingress is HAProxy as an ingress controller runs it, of one rule.
const ingress = `
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: $NAMESPACE, name: ingress}
---
apiVersion: v1
kind: Service
metadata: {namespace: $NAMESPACE, name: ingress}
spec: {selector: {app: ingress}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: $NAMESPACE, name: ingress}
data:
  haproxy.cfg: |
    defaults
      mode http
      timeout connect 5s
      timeout client 30s
      timeout server 30s
    frontend outside
      bind :8080
      default_backend shop
    backend shop
      server shop $SHOP:8080
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: $NAMESPACE, name: ingress}
spec:
  selector: {matchLabels: {app: ingress}}
  template:
    metadata: {labels: {app: ingress}, annotations: {smi-spec.io/plaintext-ports: "8080"}}
    spec:
      serviceAccountName: ingress
      containers:
        - name: haproxy
          image: $HAPROXY
          imagePullPolicy: IfNotPresent
          args: [-db, -f, /etc/haproxy/haproxy.cfg]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: config, mountPath: /etc/haproxy}]
      volumes: [{name: config, configMap: {name: ingress}}]
`
