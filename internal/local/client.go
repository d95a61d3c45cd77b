package local

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// FetchStatus asks the runtime behind an admin socket how it is.
func FetchStatus(ctx context.Context, socket string) (*Status, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://smi/v1/status", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("nothing answers at %s: start a mesh with smi run -f PATH, or name its socket with --admin: %w", socket, err)
	}
	defer func() { _ = res.Body.Close() }()
	var status Status
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("the answer at %s: %w", socket, err)
	}
	return &status, nil
}

// FindPod returns a ready pod of a workload, named NAMESPACE/WORKLOAD by its
// owner, such as a Deployment, or by the pod itself.
func (s *Status) FindPod(workload string) (*PodStatus, error) {
	namespace, name, ok := strings.Cut(workload, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not of the form NAMESPACE/WORKLOAD", workload)
	}
	var known []string
	var found *PodStatus
	for i := range s.Pods {
		p := &s.Pods[i]
		known = append(known, p.Namespace+"/"+p.Workload)
		if p.Namespace != namespace || p.Workload != name && p.Name != name {
			continue
		}
		if found == nil || p.Ready && !found.Ready {
			found = p
		}
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("no workload %s runs (there are %s)", workload, cmp.Or(strings.Join(unique(known), ", "), "none"))
	case found.RequestProxy == "":
		return nil, fmt.Errorf("pod %s/%s has no sidecar to send through", found.Namespace, found.Name)
	case found.State == Starting:
		return nil, fmt.Errorf("pod %s/%s is not ready: %s", found.Namespace, found.Name, cmp.Or(found.Reason, string(found.State)))
	}
	return found, nil
}

func unique(sorted []string) []string {
	var list []string
	for i, s := range sorted {
		if i == 0 || s != sorted[i-1] {
			list = append(list, s)
		}
	}
	return list
}
