//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestExclusions has a pod that was made with a port excluded, which everybody reaches
// past its sidecar. Another port that is written into its annotation later stays shut,
// and meshed clients do not leave their identity at home for it.
func TestExclusions(t *testing.T) {
	const ns = "e2e-exclusions"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "client"}.yaml()+
		workload{namespace: ns, name: "stranger", podLabels: map[string]string{"smi-spec.io/inject": "disabled"}}.yaml()+
		workload{
			namespace: ns, name: "server", args: []string{"-http=8080", "-tcp=9000"}, ports: []string{"http:8080", "tcp:9000"},
			podAnnotations: map[string]string{"smi-spec.io/exclude-inbound-ports": "9000"},
		}.yaml()+allow(ns, "server", ns+"/client"))
	here.running(t, ns)
	client, stranger, pod := here.sender(t, ns, "client"), here.sender(t, ns, "stranger"), here.pod(t, ns, "app=server")
	open := "bytes from " + ns + "/server"
	stranger.gets(t, open, tcp("server."+ns, 9000))
	client.gets(t, open, tcp("server."+ns, 9000))
	client.gets(t, open, tcp(pod.Status.PodIP, 9000))
	stranger.gets(t, "closed", tcp(pod.Status.PodIP, 8080))
	client.gets(t, "200 from "+ns+"/server", get("server."+ns, 8080, "/"))

	patch := []byte(`{"metadata":{"annotations":{"smi-spec.io/exclude-inbound-ports":"8080,9000"}}}`)
	if _, err := here.core.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	// A grant that is withdrawn after it has come to the client when the annotation has.
	here.apply(t, allow(ns, "server", ns+"/nobody"))
	client.gets(t, "403", get("server."+ns, 8080, "/"))
	stranger.gets(t, "closed", tcp(pod.Status.PodIP, 8080))
	eventually(t, "smi status tells of the port that is open", func(ctx context.Context) string {
		said, err := here.smi(ctx, "status")
		if err != nil {
			return err.Error()
		}
		if line := "pod " + ns + "/" + pod.Name + ": from anybody to port 9000"; !strings.Contains(said, line) || strings.Contains(said, line+",") {
			return said
		}
		return ""
	})
}
