package oracle

import (
	"math/big"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
)

// route says which split applies to what a meshed client sends to the root, and the shares it gives. Without one the root
// receives everything. The request is nil for a connection.
func (w *World) route(root *corev1.Service, port corev1.ServicePort, request *HTTP) (*split.TrafficSplit, []Share) {
	rootAlone := []Share{{Backend: root.Name, Weight: big.NewRat(1, 1)}}
	if root.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil, rootAlone // TS-1: headless Services have no split
	}
	withMatches, without := w.splitsOf(root)
	// TS-6, TS-7: those with matches first, oldest first. TS-9: they are not for connections.
	for _, s := range withMatches {
		if request == nil || !w.splitMatches(s, request) {
			continue
		}
		// TS-3: one that has nowhere to send to is not applied. Reading: the request goes on as if it had not matched.
		if shares := w.shares(s, port.Port); len(shares) > 0 {
			return s, shares
		}
	}
	// TS-7: the oldest without matches; the later ones are never applied. Reading: not even where the oldest is not (TS-3), for
	// then the root serves as if there were no split.
	if len(without) > 0 {
		if shares := w.shares(without[0], port.Port); len(shares) > 0 {
			return without[0], shares
		}
	}
	return nil, rootAlone
}

// splitsOf are the splits of the root in the order of TS-7.
func (w *World) splitsOf(root *corev1.Service) (withMatches, without []*split.TrafficSplit) {
	for _, s := range w.TrafficSplits {
		if s.Namespace != root.Namespace || hasNegativeWeight(s) {
			continue
		}
		// TS-1: anything but a name of a Service in the split's namespace is refused.
		name, namespace, ok := w.parseServiceName(s.Spec.Service, s.Namespace)
		if !ok || namespace != root.Namespace || name != root.Name {
			continue
		}
		// TS-6: an empty list is none.
		if len(s.Spec.Matches) > 0 {
			withMatches = append(withMatches, s)
		} else {
			without = append(without, s)
		}
	}
	slices.SortFunc(withMatches, byAge)
	slices.SortFunc(without, byAge)
	return withMatches, without
}

// hasNegativeWeight: TS-2 refuses a negative weight. Reading: the split it stands in is refused as a whole.
func hasNegativeWeight(s *split.TrafficSplit) bool {
	for _, backend := range s.Spec.Backends {
		if backend.Weight < 0 {
			return true
		}
	}
	return false
}

// byAge is oldest first, ties by name, all being of one namespace (TS-7).
// Reading: an object without a timestamp cannot show its age and comes after those with one.
func byAge(a, b *split.TrafficSplit) int {
	at, bt := a.CreationTimestamp, b.CreationTimestamp
	switch {
	case at.IsZero() && !bt.IsZero():
		return 1
	case !at.IsZero() && bt.IsZero():
		return -1
	case !at.Time.Equal(bt.Time):
		return at.Time.Compare(bt.Time)
	}
	return strings.Compare(a.Name, b.Name)
}

// parseServiceName reads the four forms of TS-1. Anything else is refused, also other cases and a final dot.
func (w *World) parseServiceName(text, ownNamespace string) (name, namespace string, ok bool) {
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if label == "" {
			return "", "", false
		}
	}
	switch {
	case len(labels) == 1:
		return text, ownNamespace, true
	case len(labels) == 2:
		return labels[0], labels[1], true
	}
	suffix := strings.Join(labels[2:], ".")
	if suffix == "svc" || suffix == "svc."+w.clusterDomain() {
		return labels[0], labels[1], true
	}
	return "", "", false
}

// splitMatches says whether one match of one of the split's groups takes the request (TS-6).
func (w *World) splitMatches(s *split.TrafficSplit, request *HTTP) bool {
	for _, reference := range s.Spec.Matches {
		// TS-6: a missing group matches nothing. Reading: nor does a reference to anything but an HTTPRouteGroup.
		if reference.Kind != "HTTPRouteGroup" || reference.APIGroup != nil && *reference.APIGroup != "" && *reference.APIGroup != specs.GroupName {
			continue
		}
		group := w.httpRouteGroup(s.Namespace, reference.Name)
		if group != nil && matchesAny(group.Spec.Matches, request) {
			return true
		}
	}
	return false
}

// shares are the shares of the split's usable backends on a port, none where they sum to 0 (TS-3).
func (w *World) shares(s *split.TrafficSplit, number int32) []Share {
	skipEmpty := s.Annotations[annotationEmptyBackends] == "skip" // TS-5
	weights := map[string]int64{}
	var order []string
	var sum int64
	for _, backend := range s.Spec.Backends {
		name, usable := w.usableBackend(s, backend.Service, number, skipEmpty)
		if !usable || backend.Weight == 0 { // TS-3: weight 0 receives nothing
			continue
		}
		if weights[name] == 0 {
			order = append(order, name)
		}
		// Reading: a backend given twice has the sum of its weights.
		weights[name] += int64(backend.Weight)
		sum += int64(backend.Weight)
	}
	var shares []Share
	for _, name := range order {
		// TS-2: weights are relative.
		shares = append(shares, Share{Backend: name, Weight: big.NewRat(weights[name], sum)})
	}
	return shares
}

// usableBackend says whether a backend takes part on the port (TS-4). TS-8: the root itself may be one.
func (w *World) usableBackend(s *split.TrafficSplit, text string, number int32, skipEmpty bool) (name string, usable bool) {
	name, namespace, ok := w.parseServiceName(text, s.Namespace)
	if !ok || namespace != s.Namespace {
		return "", false
	}
	service := w.service(namespace, name)
	if service == nil {
		return "", false
	}
	port, ok := servicePort(service, number)
	if !ok {
		return "", false
	}
	// TS-5: without ready endpoints it keeps its weight, unless the split says skip.
	if skipEmpty && len(w.endpoints(service, port)) == 0 {
		return "", false
	}
	return name, true
}
