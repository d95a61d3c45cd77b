//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/conformance/driver"
)

// TestTraffic sends every kind of traffic that a cluster has, from a client that was
// granted it and from one that was not.
func TestTraffic(t *testing.T) {
	const ns = "e2e-traffic"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "client"}.yaml()+
		workload{namespace: ns, name: "guest"}.yaml()+
		workload{namespace: ns, name: "server", args: []string{"-http=8080", "-grpc=8082", "-tcp=9000", "-greet=9001", "-any=9090"},
			ports: []string{"http:8080", "grpc:8082", "tcp:9000", "tcp-greet:9001", "undeclared:9090"}}.yaml()+
		workload{namespace: ns, name: "members", headless: true, replicas: 2, ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "plain", podLabels: map[string]string{"smi-spec.io/inject": "disabled"}, ports: []string{"http:8080"}}.yaml()+
		workload{namespace: ns, name: "stranger", podLabels: map[string]string{"smi-spec.io/inject": "disabled"}}.yaml()+
		fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {namespace: %s, name: elsewhere}\nspec: {type: ExternalName, externalName: plain.%s.svc.cluster.local}\n", ns, ns)+
		allow(ns, "server", ns+"/client")+allow(ns, "members", ns+"/client"))
	here.running(t, ns)
	client, guest, stranger := here.sender(t, ns, "client"), here.sender(t, ns, "guest"), here.sender(t, ns, "stranger")
	service := func(name string) string { return name + "." + ns }
	const server, members, plain = "200 from " + ns + "/server", "200 from " + ns + "/members", "200 from " + ns + "/plain"

	t.Run("ClusterIP", func(t *testing.T) {
		client.gets(t, server, get(service("server"), 8080, "/"))
		guest.gets(t, "403", get(service("server"), 8080, "/"))
	})
	t.Run("both families", func(t *testing.T) {
		s, err := here.core.CoreV1().Services(ns).Get(t.Context(), "server", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, ip := range s.Spec.ClusterIPs {
			client.gets(t, server, get(ip, 8080, "/"))
			guest.gets(t, "403", get(ip, 8080, "/"))
		}
		if len(s.Spec.ClusterIPs) < 2 {
			t.Errorf("the Service has the addresses %v: the cluster is not of both families", s.Spec.ClusterIPs)
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		call := driver.Request{Protocol: driver.GRPC, Host: service("server"), Port: 8082, Path: "/smi.sample.v1.Echo/Say"}
		client.gets(t, "OK from "+ns+"/server", call)
		guest.gets(t, "PermissionDenied", call)
	})
	t.Run("WebSocket", func(t *testing.T) {
		call := driver.Request{Protocol: driver.WebSocket, Host: service("server"), Port: 8080, Path: "/ws"}
		client.gets(t, "101 from "+ns+"/server", call)
		guest.gets(t, "403", call)
	})
	t.Run("TCP", func(t *testing.T) {
		// HTTP rules open no other connection.
		guest.gets(t, "closed", tcp(service("server"), 9000))
		client.gets(t, "closed", tcp(service("server"), 9000))
		here.apply(t, allowPorts(ns, "server", "9000, 9001, 9090", ns+"/client"))
		client.gets(t, "bytes from "+ns+"/server", tcp(service("server"), 9000))
		client.gets(t, "bytes from "+ns+"/server", tcp(service("server"), 9090))
		guest.gets(t, "closed", tcp(service("server"), 9000))
	})
	t.Run("the server speaks first", func(t *testing.T) {
		hush := driver.Request{Protocol: driver.TCP, Host: service("server"), Port: 9001, Silent: true}
		client.gets(t, "bytes from "+ns+"/server", hush)
		guest.gets(t, "closed", hush)
	})
	t.Run("headless", func(t *testing.T) {
		client.gets(t, members, get(service("members"), 8080, "/"))
		client.gets(t, members, get("members-1."+service("members"), 8080, "/"))
		guest.gets(t, "403", get(service("members"), 8080, "/"))
	})
	t.Run("pod addresses", func(t *testing.T) {
		for _, ip := range here.pod(t, ns, "app=server").Status.PodIPs {
			client.gets(t, server, get(ip.IP, 8080, "/"))
			guest.gets(t, "403", get(ip.IP, 8080, "/"))
		}
	})
	t.Run("outside the mesh", func(t *testing.T) {
		for _, name := range []string{"plain", "elsewhere"} {
			client.gets(t, plain, get(service(name), 8080, "/"))
			guest.gets(t, plain, get(service(name), 8080, "/"))
		}
		client.gets(t, plain, get(here.pod(t, ns, "app=plain").Status.PodIP, 8080, "/"))
		stranger.gets(t, plain, get(service("plain"), 8080, "/"))
	})
	t.Run("strangers", func(t *testing.T) {
		pod := here.pod(t, ns, "app=server").Status.PodIP
		for _, port := range []uint16{8080, 8082, 9000, 9001, 9090, 7000} {
			stranger.gets(t, "closed", tcp(pod, port))
		}
	})
	t.Run("the API server", func(t *testing.T) {
		// It answers plain HTTP on its TLS port with a line that says so.
		client.gets(t, "bytes", driver.Request{Protocol: driver.TCP, Host: "kubernetes.default", Port: 443, Body: "GET / HTTP/1.0\r\n\r\n"})
	})
}

// TestJob sees that a Job with a sidecar ends.
func TestJob(t *testing.T) {
	const ns = "e2e-job"
	here.namespace(t, ns, meshed())
	here.apply(t, fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {namespace: %s, name: once}
spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: once, image: $IMAGE, imagePullPolicy: IfNotPresent, args: [-help]}]}}}
`, ns))
	eventually(t, "the Job is done", func(ctx context.Context) string {
		j, err := here.core.BatchV1().Jobs(ns).Get(ctx, "once", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if j.Status.Succeeded != 1 {
			return fmt.Sprintf("%d active, %d failed", j.Status.Active, j.Status.Failed)
		}
		return ""
	})
	list, err := here.core.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Status.Phase != corev1.PodSucceeded || len(list.Items[0].Spec.InitContainers) == 0 {
		t.Errorf("the Job's pods are %v (%v)", list.Items, err)
	}
}
