package meshstatus

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

func podOf(o *corev1.Pod) pod {
	p := pod{
		name: mesh.Name{Namespace: o.Namespace, Name: o.Name}, meshed: sidecar.Meshed(o), inject: o.Labels[sidecar.LabelInject],
		hostNetwork: o.Spec.HostNetwork, deleting: o.DeletionTimestamp != nil, plaintext: o.Annotations[sidecar.AnnotationPlaintextPorts],
	}
	for i := range o.Spec.InitContainers {
		if o.Spec.InitContainers[i].Name == sidecar.Container {
			p.image = o.Spec.InitContainers[i].Image
		}
	}
	p.redirection, _ = sidecar.RedirectionOf(o)
	p.ready, p.waiting = sidecarState(o)
	return p
}

// sidecarState tells whether a pod's sidecar is ready, and what it waits for if not.
func sidecarState(o *corev1.Pod) (ready bool, waiting string) {
	waiting = "its sidecar has not started"
	for i := range o.Status.InitContainerStatuses {
		s := &o.Status.InitContainerStatuses[i]
		switch {
		case s.Name == sidecar.RedirectContainer && s.State.Waiting != nil:
			waiting = "its traffic is not redirected: " + reason(s.State.Waiting)
		case s.Name != sidecar.Container:
		case s.Ready:
			return true, ""
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			return false, "its sidecar waits: " + reason(s.State.Waiting)
		case s.State.Running != nil:
			return false, "its sidecar runs and is not ready"
		}
	}
	return false, waiting
}

func reason(w *corev1.ContainerStateWaiting) string {
	if w.Message == "" {
		return w.Reason
	}
	return w.Reason + ": " + w.Message
}

// Bounds of what is asked of proxies.
const (
	maxAsked     = 100
	askedAtOnce  = 8
	proxyTimeout = 3 * time.Second
	maxMetrics   = 32 << 20
)

// expirySeries is the series of a sidecar that says when its certificate ends.
const expirySeries = "smi_certificate_expiry_timestamp_seconds "

// readCertificates asks proxies by the API server when their certificates end. Those
// that do not answer are left out: whether they are ready is known from elsewhere.
func readCertificates(ctx context.Context, client kubernetes.Interface, pods []pod) (map[mesh.Name]time.Time, error) {
	found := map[mesh.Name]time.Time{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askedAtOnce)
	asked := 0
	for _, p := range pods {
		if !p.meshed || !p.ready || asked == maxAsked {
			continue
		}
		asked++
		group.Go(func() error {
			ends, err := certificateOf(ctx, client, p.name)
			if apierrors.IsForbidden(err) {
				return err
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				found[p.name] = ends
			}
			return nil
		})
	}
	return found, group.Wait()
}

func certificateOf(ctx context.Context, client kubernetes.Interface, name mesh.Name) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	stream, err := client.CoreV1().Pods(name.Namespace).ProxyGet("http", name.Name, strconv.Itoa(sidecar.PortMetrics), "metrics", nil).Stream(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer stream.Close()
	return expiryIn(io.LimitReader(stream, maxMetrics))
}

// expiryIn looks for the end of a certificate among series.
func expiryIn(series io.Reader) (time.Time, error) {
	lines := bufio.NewScanner(series)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), expirySeries)
		if !found {
			continue
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || seconds <= 0 {
			break
		}
		return time.Unix(int64(seconds), 0), nil
	}
	if err := lines.Err(); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, io.ErrUnexpectedEOF
}
