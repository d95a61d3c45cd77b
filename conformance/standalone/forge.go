//go:build linux

package standalone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/forge"
	"github.com/smi-project/smi/internal/local"
	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

var (
	_ conformance.Forger       = (*Target)(nil)
	_ conformance.Impersonator = (*Target)(nil)
)

// Forge has the runtime's own authority sign.
func (t *Target) Forge(_ context.Context, wanted forge.Certificate) (*driver.Credentials, error) {
	certificate, key, err := t.rt.Authority().MarshalPEM()
	if err != nil {
		return nil, err
	}
	authority, err := forge.Load(certificate, key)
	if err != nil {
		return nil, err
	}
	credentials, err := authority.Sign(wanted)
	if err == nil && len(wanted.IDs) > 0 {
		credentials.ServerName = envoy.SourceName(mesh.Principal(wanted.IDs[0]))
	}
	return credentials, err
}

// Impersonate gives the sidecar of a workload's pod the certificate of another
// workload's account, and waits until it shows that.
func (t *Target) Impersonate(ctx context.Context, workload, as string) error {
	pod, err := t.pod(workload)
	if err != nil {
		return err
	}
	other, err := t.pod(as)
	if err != nil {
		return err
	}
	port, err := t.portOf(workload)
	if err != nil {
		return err
	}
	account := mesh.Account{Namespace: other.Namespace, Name: other.ServiceAccount}
	if err := t.rt.Impersonate(mesh.Name{Namespace: pod.Namespace, Name: pod.Name}, account); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return t.awaitProof(ctx, pod, port, mesh.PrincipalOf(t.rt.Authority().TrustDomain(), account))
}

// portOf is a port of a workload at which its sidecar speaks TLS.
func (t *Target) portOf(workload string) (int32, error) {
	for _, o := range t.objects() {
		if o.GetKind() != "Deployment" || o.GetNamespace()+"/"+o.GetName() != workload {
			continue
		}
		var deployment struct {
			Spec struct{ Template corev1.PodTemplateSpec }
		}
		if err := convert(o, &deployment); err != nil {
			return 0, err
		}
		for _, c := range deployment.Spec.Template.Spec.Containers {
			if len(c.Ports) > 0 {
				return c.Ports[0].ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("workload %s names no port", workload)
}

// proofPeriod is how often a sidecar is asked who it is.
const proofPeriod = 10 * time.Millisecond

// awaitProof waits until a sidecar proves to be somebody.
func (t *Target) awaitProof(ctx context.Context, pod *local.PodStatus, port int32, who mesh.Principal) error {
	tick := time.NewTicker(proofPeriod)
	defer tick.Stop()
	for {
		shown, err := provenBy(ctx, net.JoinHostPort(pod.SidecarAddress, strconv.Itoa(int(port))))
		if err == nil && shown == who {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the sidecar of %s/%s does not prove to be %s, but %q", pod.Namespace, pod.Name, who, shown), err)
		}
	}
}

// provenBy is who a server's certificate says it is.
func provenBy(ctx context.Context, address string) (mesh.Principal, error) {
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is asked who it is, and told nothing
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(chain) == 0 || len(chain[0].URIs) != 1 {
		return "", errors.New("its certificate has not exactly one URI name")
	}
	return mesh.Principal(chain[0].URIs[0].String()), nil
}
