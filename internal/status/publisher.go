package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/store"
)

// Replicas tell each other of their proxies by a ConfigMap each, which is called
// SummaryPrefix and the replica's name, has the label PartLabel with the value
// SummaryPart, and holds the Summary as JSON under SummaryKey.
const (
	SummaryPrefix = "smi-proxies-"
	SummaryKey    = "summary.json"
	PartLabel     = "smi-spec.io/part"
	SummaryPart   = "proxies"
)

// heardAnnotation is when the replica wrote its summary. Without it the API server
// would not tell of one that is written again as it was.
const heardAnnotation = "smi-spec.io/heard"

// FieldManager is who writes, for the API server.
const FieldManager = "smi-controller"

const (
	// publishEvery is the least time between two writes of a summary that changed, and
	// heartbeat the most between two of one that did not.
	publishEvery = 2 * time.Second
	heartbeat    = 30 * time.Second
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
)

// Publisher keeps the summary of this replica where the leader reads it.
type Publisher struct {
	Client             kubernetes.Interface
	Namespace, Replica string
	// Collect sums up, with the snapshot that proxies were last sent.
	Collect func() (*Summary, *store.Snapshot)
	Logger  *slog.Logger

	// pod is this replica's, once it is known: asked is true then, and it is nil where
	// the process is in none.
	pod   *metav1apply.OwnerReferenceApplyConfiguration
	asked bool
}

// Run publishes until the context ends, and then takes the summary away.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.remove(context.WithoutCancel(ctx))
	var last *Summary
	var sent store.Snapshot
	var at time.Time
	ticker := time.NewTicker(publishEvery)
	defer ticker.Stop()
	for {
		summary, snapshot := p.Collect()
		if !summary.equal(last) || policyChanged(&sent, snapshot) || time.Since(at) >= heartbeat {
			if err := p.publish(ctx, summary); err == nil {
				last, sent, at = summary, *snapshot, time.Now()
			} else if ctx.Err() == nil {
				p.Logger.Warn("how far proxies are could not be published; the status of objects may be late", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// policyChanged tells whether an object of SMI is another one. What only Pods and
// their like say is in no condition.
func policyChanged(a, b *store.Snapshot) bool {
	return a.TrafficTargets != b.TrafficTargets || a.TrafficSplits != b.TrafficSplits || a.IdentityBindings != b.IdentityBindings ||
		a.HTTPRouteGroups != b.HTTPRouteGroups || a.TCPRoutes != b.TCPRoutes || a.UDPRoutes != b.UDPRoutes
}

func (p *Publisher) publish(ctx context.Context, summary *Summary) error {
	text, err := json.Marshal(summary)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	wanted := corev1apply.ConfigMap(SummaryPrefix+p.Replica, p.Namespace).
		WithLabels(map[string]string{PartLabel: SummaryPart}).
		WithAnnotations(map[string]string{heardAnnotation: time.Now().UTC().Format(time.RFC3339)}).
		WithData(map[string]string{SummaryKey: string(text)})
	if owner, err := p.owner(ctx); err != nil {
		return err
	} else if owner != nil {
		wanted = wanted.WithOwnerReferences(owner)
	}
	_, err = p.Client.CoreV1().ConfigMaps(p.Namespace).Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	return err
}

// owner is the pod of this replica, so that its summary goes with it; nil where the
// process is in no pod. It is read once: a process outlives its Pod for a moment, and
// what it writes then must not outlive both.
func (p *Publisher) owner(ctx context.Context) (*metav1apply.OwnerReferenceApplyConfiguration, error) {
	if p.asked {
		return p.pod, nil
	}
	pod, err := p.Client.CoreV1().Pods(p.Namespace).Get(ctx, p.Replica, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read the pod of this replica: %w", err)
	}
	if err == nil {
		p.pod = metav1apply.OwnerReference().WithAPIVersion("v1").WithKind("Pod").WithName(pod.Name).WithUID(pod.UID)
	}
	p.asked = true
	return p.pod, nil
}

func (p *Publisher) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := p.Client.CoreV1().ConfigMaps(p.Namespace).Delete(ctx, SummaryPrefix+p.Replica, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		p.Logger.Debug("the summary of this replica was not removed", "error", err)
	}
}
