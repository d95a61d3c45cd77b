package oracle

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	access "github.com/smi-project/smi/api/access/v1alpha4"
)

// sidecarPorts are the sidecar's own, which no route opens (SP-7).
var sidecarPorts = []int32{15000, 15001, 15002, 15006, 15020, 15021, 15022}

// judgePod says what the pod's side does with the request: it alone decides (AC-2), and by the pod's own account (AC-13, TS-10).
// The client without identity is the zero account.
func (w *World) judgePod(client account, to endpoint, request *HTTP) (allowed, badRequest bool, because string) {
	if !meshed(to.pod) {
		return true, false, "AC-1: an unmeshed pod has nothing that refuses"
	}
	mode := w.mode(to.pod.Namespace)
	anonymous := client == (account{})
	open := anonymous && hasPlaintextPort(to.pod, to.port) // AC-18
	if mode == Strict && anonymous && !open {
		return false, false, "ID-3: the client has no identity"
	}
	speaks := w.serverProtocol(to.pod, to.port)
	isHTTP := speaks.isHTTP(request)
	// What follows is no access rule, so it holds in every mode.
	if isHTTP && request == nil {
		return false, true, "PR-1: the port is declared HTTP"
	}
	if isHTTP && hasEncodedSlash(request.Path) {
		return false, true, "SP-9: the path holds an encoded slash or backslash"
	}
	if mode != Strict {
		return true, false, "AC-16: the namespace is " + string(mode)
	}
	if open {
		return true, false, "AC-18: the port is open to peers without identity"
	}
	if !isHTTP {
		request = nil // PR-1, PR-2: a connection, whatever it carries
	}
	// AC-3: a union over all TrafficTargets.
	for _, target := range w.TrafficTargets {
		if w.grants(target, client, to, request) {
			return true, false, "AC-3: TrafficTarget " + target.Namespace + "/" + target.Name
		}
	}
	return false, false, "AC-1: no TrafficTarget allows it"
}

// mode is the mode of the destination's namespace (AC-16).
func (w *World) mode(namespace string) Mode {
	mode := w.Config.Mode
	if mode == "" {
		mode = Strict // AC-1
	}
	for _, object := range w.Namespaces {
		if object.Name != namespace {
			continue
		}
		if label, ok := object.Labels[labelAccess]; ok {
			mode = Mode(label)
		}
	}
	order := []Mode{Permissive, Audit, Strict}
	if !slices.Contains(order, mode) {
		return Strict // an unknown value
	}
	// No label lowers the floor. Reading: neither does the mesh's own mode.
	if slices.Index(order, mode) < slices.Index(order, w.Config.Floor) {
		return w.Config.Floor
	}
	return mode
}

// hasPlaintextPort says whether the pod opens the port to peers without identity (AC-18).
func hasPlaintextPort(pod *corev1.Pod, port int32) bool {
	for _, entry := range strings.Split(pod.Annotations[annotationPlaintextPorts], ",") {
		entry = strings.TrimSpace(entry)
		if entry == strconv.Itoa(int(port)) {
			return true
		}
		if named, ok := containerPort(pod, entry); ok && named == port {
			return true
		}
	}
	return false
}

// grants says whether one TrafficTarget allows the client to send the request, or to open the connection, at the pod's port.
func (w *World) grants(target *access.TrafficTarget, client account, to endpoint, request *HTTP) bool {
	// AC-4: nothing without source, rule or destination: the loops below find none.
	destination := target.Spec.Destination
	// AC-5: a destination in another namespace is refused.
	if destination.Namespace != "" && destination.Namespace != target.Namespace {
		return false
	}
	// AC-13: the pod's own account.
	if !w.subjectMeans(destination, target, accountOf(to.pod)) {
		return false
	}
	if !w.anySourceMeans(target, client) {
		return false
	}
	if slices.Contains(sidecarPorts, to.port) { // SP-7
		return false
	}
	if onlyTransportRoutes(target.Spec.Rules) {
		return w.tcpRoutesOpen(target, to.port) // AC-8: HTTP included
	}
	// AC-9, AC-10: what names HTTP never opens anything else.
	if request == nil {
		return false
	}
	// AC-9: a TCPRoute beside it restricts, also one that does not resolve, which leaves no port.
	if hasKind(target.Spec.Rules, "TCPRoute") && !w.tcpRoutesOpen(target, to.port) {
		return false
	}
	for _, rule := range target.Spec.Rules {
		if rule.Kind == "HTTPRouteGroup" && w.httpRuleAllows(rule, target.Namespace, request) {
			return true
		}
	}
	return false
}

func (w *World) anySourceMeans(target *access.TrafficTarget, client account) bool {
	for _, source := range target.Spec.Sources {
		if w.subjectMeans(source, target, client) {
			return true
		}
	}
	return false
}

// onlyTransportRoutes says whether the target's rules are TCPRoutes only (AC-8).
// Reading: UDPRoutes beside them do not matter, as they speak of another transport (AC-11). A rule of an unknown kind does: it
// may be a misspelt HTTPRouteGroup, and without it the TCPRoute beside it would open more than was meant.
func onlyTransportRoutes(rules []access.TrafficTargetRule) bool {
	for _, rule := range rules {
		if rule.Kind != "TCPRoute" && rule.Kind != "UDPRoute" {
			return false
		}
	}
	return true
}

func hasKind(rules []access.TrafficTargetRule, kind string) bool {
	for _, rule := range rules {
		if rule.Kind == kind {
			return true
		}
	}
	return false
}

// tcpRoutesOpen says whether one of the target's TCPRoutes names the pod port. Several add up (AC-3).
func (w *World) tcpRoutesOpen(target *access.TrafficTarget, port int32) bool {
	for _, rule := range target.Spec.Rules {
		if rule.Kind != "TCPRoute" {
			continue
		}
		route := w.tcpRoute(target.Namespace, rule.Name)
		if route == nil {
			continue // AC-7
		}
		// AC-7. Reading: a rule that names matches means the route only if its one match has such a name.
		if len(rule.Matches) > 0 && !slices.Contains(rule.Matches, route.Spec.Matches.Name) {
			continue
		}
		// SP-7: without ports it means every port.
		if len(route.Spec.Matches.Ports) == 0 || slices.Contains(route.Spec.Matches.Ports, int(port)) {
			return true
		}
	}
	return false
}

// httpRuleAllows says whether a rule of kind HTTPRouteGroup allows the request (AC-6).
func (w *World) httpRuleAllows(rule access.TrafficTargetRule, namespace string, request *HTTP) bool {
	group := w.httpRouteGroup(namespace, rule.Name)
	if group == nil {
		return false // AC-7
	}
	// AC-7. Reading: of the names in a rule, one that does not exist contributes nothing, and the others still do.
	for _, match := range group.Spec.Matches {
		// AC-6: no names mean all of them.
		if len(rule.Matches) > 0 && !slices.Contains(rule.Matches, match.Name) {
			continue
		}
		if matchesRequest(match, request) { // SP-5
			return true
		}
	}
	return false
}
