//go:build linux

package local

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/mesh"
)

// Impersonate has the sidecar of a pod prove to be the given account from soon on,
// while the mesh goes on to take it for what it is. That is how a test meets an
// impostor (ID-6); no command and no request of another process leads here.
func (rt *Runtime) Impersonate(pod mesh.Name, account mesh.Account) error {
	rt.mu.Lock()
	e := rt.pods[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]
	rt.mu.Unlock()
	if e == nil || e.runner == nil {
		return fmt.Errorf("no pod %s runs", pod)
	}
	r := e.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.agent == nil {
		return fmt.Errorf("pod %s has no sidecar that could prove anything", pod)
	}
	r.account = account
	r.agent.Renew()
	return nil
}

// Authority is the mesh's certificate authority.
func (rt *Runtime) Authority() *identity.CA { return rt.ca }

// certificates are those of whoever the pod is to prove to be.
func (r *runner) certificates(ctx context.Context, csrDER []byte) (chainPEM, bundlePEM []byte, err error) {
	r.mu.Lock()
	account := r.account
	r.mu.Unlock()
	return r.rt.ca.Source(account).Certificate(ctx, csrDER)
}
