//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServiceRanges sees that the mesh knows where Services get their addresses from,
// without a word of the configuration, and follows a range that is added and removed.
func TestServiceRanges(t *testing.T) {
	all, err := here.core.NetworkingV1().ServiceCIDRs().List(t.Context(), metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		t.Skip("this Kubernetes is older than 1.33 and does not tell its ranges")
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range all.Items {
		for _, cidr := range all.Items[i].Spec.CIDRs {
			here.inMesh(t, cidr, true)
		}
	}
	// A network for documentation, which no cluster has.
	const added = "203.0.113.0/28"
	o := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "smi-e2e"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{added}}}
	if _, err := here.core.NetworkingV1().ServiceCIDRs().Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	remove := func() {
		err := here.core.NetworkingV1().ServiceCIDRs().Delete(context.WithoutCancel(t.Context()), o.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
	t.Cleanup(remove)
	here.inMesh(t, added, true)
	remove()
	here.inMesh(t, added, false)
}

// inMesh waits until the controller takes the addresses of a range for those of the
// mesh, or does not.
func (c *cluster) inMesh(t *testing.T, cidr string, want bool) {
	t.Helper()
	pod := c.pod(t, system, controllers)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.forward.Dial(ctx, system, pod.Name, 6060)
	}}}
	eventually(t, fmt.Sprintf("%s is in the mesh: %t", cidr, want), func(ctx context.Context) string {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://controller/debug/mesh", nil)
		if err != nil {
			return err.Error()
		}
		answer, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return err.Error()
		}
		if strings.Contains(string(text), "in the mesh "+cidr+"\n") != want {
			return fmt.Sprintf("%s, %d bytes", answer.Status, len(text))
		}
		return ""
	})
}
