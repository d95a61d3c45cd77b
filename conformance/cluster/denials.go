package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/conformance"
)

// metricsPort is where sidecars of this project serve their metrics.
const metricsPort = "15020"

// Denials sums what the sidecars of the suite's pods count as denied from the
// source's account to the destination's. The caller's own sidecar, which may refuse
// first, knows the destination as a Service, of the same name, or by its address.
func (t *Target) Denials(ctx context.Context, source, destination string) (int, error) {
	services, err := t.addresses(ctx)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, namespace := range conformance.Namespaces() {
		pods, err := t.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		for i := range pods.Items {
			p := &pods.Items[i]
			if !counts(p) {
				continue
			}
			text, err := t.core.CoreV1().RESTClient().Get().Namespace(p.Namespace).Resource("pods").
				Name(p.Name + ":" + metricsPort).SubResource("proxy").Suffix("metrics").DoRaw(ctx)
			if err != nil && t.ends(ctx, p) {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("the metrics of pod %s/%s: %w", p.Namespace, p.Name, err)
			}
			n, err := denied(text, services, source, destination)
			if err != nil {
				return 0, fmt.Errorf("the metrics of pod %s/%s: %w", p.Namespace, p.Name, err)
			}
			sum += n
		}
	}
	return sum, nil
}

// counts tells whether a pod has a sidecar that counts. Other cases may be starting
// and ending pods of theirs.
func counts(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, s := range p.Status.InitContainerStatuses {
			if s.Name == c.Name && s.Started != nil && *s.Started {
				return true
			}
		}
	}
	return false
}

// ends tells whether a pod has begun to end since it was looked at.
func (t *Target) ends(ctx context.Context, p *corev1.Pod) bool {
	now, err := t.core.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && !counts(now)
}

// addresses are the addresses of the suite's Services, with their names.
func (t *Target) addresses(ctx context.Context) (map[string]string, error) {
	named := map[string]string{}
	for _, namespace := range conformance.Namespaces() {
		services, err := t.core.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, s := range services.Items {
			for _, ip := range s.Spec.ClusterIPs {
				named[ip] = s.Namespace + "/" + s.Name
			}
		}
	}
	return named, nil
}

// denied sums the denials of an edge in the text of metrics. Services are names by
// their addresses.
func denied(text []byte, services map[string]string, source, destination string) (int, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	family := families["smi_denied_total"]
	sum := 0
	for _, m := range family.GetMetric() {
		l := labelsOf(m)
		to := l["destination_namespace"] + "/" + l["destination_account"]
		if l["destination_account"] == "" {
			to, _, _ = strings.Cut(l["service"], ":")
			if address, err := netip.ParseAddrPort(l["service"]); err == nil {
				to = services[address.Addr().String()]
			}
		}
		if l["enforced"] == "true" && l["source_namespace"]+"/"+l["source_account"] == source && to == destination {
			sum += int(m.GetCounter().GetValue())
		}
	}
	return sum, nil
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}
