package oracle_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
)

// rule is one case of a numbered rule: in this world, this request ends so.
type rule struct {
	name    string
	world   []any // added to the fixture; an object of the same kind and name takes the place of the fixture's
	request oracle.Request
	want    string // see ends
}

// check runs the cases of a rule.
func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			v := oracle.Judge(fixture(r.world...), r.request)
			if got := ends(v); got != r.want {
				t.Errorf("%s\n got %s\nwant %s\n%s", r.request, got, r.want, v)
			}
		})
	}
}

// ends says how a request ends: "allowed", "denied", "503", "400", or these with their parts.
func ends(v oracle.Verdict) string {
	switch {
	case v.NoSuchClient:
		return "no such client"
	case v.NoSuchService:
		return "no such service"
	case v.NoSuchPort:
		return "no such port"
	}
	var parts []string
	add := func(what string, share *big.Rat) {
		switch {
		case share.Cmp(big.NewRat(1, 1)) == 0:
			parts = append(parts, what)
		case share.Sign() > 0:
			parts = append(parts, what+" "+share.RatString())
		}
	}
	add("allowed", v.AllowedShare())
	add("denied", v.Denied)
	add("503", v.Unavailable)
	add("400", v.BadRequest)
	return strings.Join(parts, ", ")
}

// fixture is a small mesh: in namespace shop the clients web-0 and plain-0 (which is not meshed), and api-0, which listens on 8080
// (declared HTTP as api:80), 9090 (declared TCP as api:81) and 7000 (undeclared, as api:82). Namespace bank has a client web-0.
func fixture(objects ...any) *oracle.World {
	w := &oracle.World{}
	base := []any{
		namespace("shop", ""), namespace("bank", ""),
		pod("shop", "web-0", "web"), pod("shop", "api-0", "api"), pod("bank", "web-0", "web"), unmeshed(pod("shop", "plain-0", "plain")),
		service("api", "app=api", port(80, "http", 8080), port(81, "tcp", 9090), port(82, "main", 7000)),
	}
	for _, object := range append(base, objects...) {
		put(w, object)
	}
	return w
}

func put(w *oracle.World, object any) {
	switch o := object.(type) {
	case oracle.Config:
		w.Config = o
	case *corev1.Namespace:
		w.Namespaces = replace(w.Namespaces, o)
	case *corev1.Pod:
		w.Pods = replace(w.Pods, o)
	case *corev1.Service:
		w.Services = replace(w.Services, o)
	case *access.TrafficTarget:
		w.TrafficTargets = replace(w.TrafficTargets, o)
	case *access.IdentityBinding:
		w.IdentityBindings = replace(w.IdentityBindings, o)
	case *specs.HTTPRouteGroup:
		w.HTTPRouteGroups = replace(w.HTTPRouteGroups, o)
	case *specs.TCPRoute:
		w.TCPRoutes = replace(w.TCPRoutes, o)
	case *split.TrafficSplit:
		w.TrafficSplits = replace(w.TrafficSplits, o)
	default:
		panic(fmt.Sprintf("no place for a %T", object))
	}
}

func replace[T metav1.Object](list []T, object T) []T {
	for i, old := range list {
		if old.GetNamespace() == object.GetNamespace() && old.GetName() == object.GetName() {
			list[i] = object
			return list
		}
	}
	return append(list, object)
}

// The workloads.

func namespace(name, mode string) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if mode != "" {
		n.Labels = map[string]string{"smi-spec.io/access": mode}
	}
	return n
}

// pod is ready, has the label app with its account's name, and container ports http (8080), raw (9090) and main (7000).
func pod(namespace, name, account string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": account}}}
	p.Spec.ServiceAccountName = account
	p.Spec.Containers = []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{
		{Name: "http", ContainerPort: 8080}, {Name: "raw", ContainerPort: 9090}, {Name: "main", ContainerPort: 7000},
	}}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

func unmeshed(p *corev1.Pod) *corev1.Pod {
	return labelled(p, "smi-spec.io/inject=disabled")
}

func unready(p *corev1.Pod) *corev1.Pod {
	p.Status.Conditions[0].Status = corev1.ConditionFalse
	return p
}

// silent has no condition at all.
func silent(p *corev1.Pod) *corev1.Pod {
	p.Status.Conditions = nil
	return p
}

func labelled(p *corev1.Pod, labels ...string) *corev1.Pod {
	for key, value := range pairs(labels) {
		p.Labels[key] = value
	}
	return p
}

func pairs(texts []string) map[string]string {
	m := map[string]string{}
	for _, text := range texts {
		key, value, _ := strings.Cut(text, "=")
		m[key] = value
	}
	return m
}

// service is in shop.
func service(name, selector string, ports ...corev1.ServicePort) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	s.Spec.Selector = pairs([]string{selector})
	s.Spec.Ports = ports
	return s
}

func headless(s *corev1.Service) *corev1.Service {
	s.Spec.ClusterIP = corev1.ClusterIPNone
	return s
}

func port(number int32, name string, target int32) corev1.ServicePort {
	return corev1.ServicePort{Port: number, Name: name, TargetPort: intstr.FromInt32(target)}
}

func speaking(p corev1.ServicePort, appProtocol string) corev1.ServicePort {
	p.AppProtocol = &appProtocol
	return p
}

// The policy, all of it in shop.

type targetOption func(*access.TrafficTarget)

func target(name string, options ...targetOption) *access.TrafficTarget {
	tt := &access.TrafficTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	for _, option := range options {
		option(tt)
	}
	return tt
}

// subject reads "name", "namespace/name" or either behind "IdentityBinding:".
func subject(text string) access.IdentityBindingSubject {
	s := access.IdentityBindingSubject{Kind: "ServiceAccount"}
	if kind, rest, ok := strings.Cut(text, ":"); ok {
		s.Kind, text = kind, rest
	}
	if namespace, name, ok := strings.Cut(text, "/"); ok {
		s.Namespace, text = namespace, name
	}
	s.Name = text
	return s
}

func to(destination string) targetOption {
	return func(tt *access.TrafficTarget) { tt.Spec.Destination = subject(destination) }
}

func from(source string) targetOption {
	return func(tt *access.TrafficTarget) { tt.Spec.Sources = append(tt.Spec.Sources, subject(source)) }
}

func allow(kind, name string, matches ...string) targetOption {
	return func(tt *access.TrafficTarget) {
		tt.Spec.Rules = append(tt.Spec.Rules, access.TrafficTargetRule{Kind: kind, Name: name, Matches: matches})
	}
}

// webToAPI is a target from web to api with such rules.
func webToAPI(rules ...targetOption) *access.TrafficTarget {
	return target("web-to-api", append([]targetOption{from("web"), to("api")}, rules...)...)
}

func binding(name string, schemes access.IdentityBindingSchemes) *access.IdentityBinding {
	return &access.IdentityBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: access.IdentityBindingSpec{Schemes: schemes}}
}

func group(name string, matches ...specs.HTTPMatch) *specs.HTTPRouteGroup {
	return &specs.HTTPRouteGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: specs.HTTPRouteGroupSpec{Matches: matches}}
}

func path(regex string) specs.HTTPMatch {
	return specs.HTTPMatch{Name: "path", PathRegex: regex}
}

func header(name, regex string) specs.HTTPMatch {
	return specs.HTTPMatch{Name: "header", Headers: specs.NewHTTPHeaders(specs.HTTPHeader{Name: name, Value: regex})}
}

func tcpRoute(name string, ports ...int) *specs.TCPRoute {
	return &specs.TCPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: specs.TCPRouteSpec{Matches: specs.TCPMatch{Name: "tcp", Ports: ports}}}
}

type splitOption func(*split.TrafficSplit)

func trafficSplit(name, root string, options ...splitOption) *split.TrafficSplit {
	s := &split.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: split.TrafficSplitSpec{Service: root}}
	for _, option := range options {
		option(s)
	}
	return s
}

func backend(name string, weight int) splitOption {
	return func(s *split.TrafficSplit) {
		s.Spec.Backends = append(s.Spec.Backends, split.TrafficSplitBackend{Service: name, Weight: weight})
	}
}

func matching(group string) splitOption {
	return func(s *split.TrafficSplit) {
		s.Spec.Matches = append(s.Spec.Matches, corev1.TypedLocalObjectReference{Kind: "HTTPRouteGroup", Name: group})
	}
}

func madeAt(hour int) splitOption {
	return func(s *split.TrafficSplit) {
		s.CreationTimestamp = metav1.NewTime(time.Date(2026, time.May, 1, hour, 0, 0, 0, time.UTC))
	}
}

func skippingEmpty(s *split.TrafficSplit) {
	s.Annotations = map[string]string{"smi-spec.io/empty-backends": "skip"}
}

// The requests, from shop/web-0 to Service api in shop.

// get asks port 80, which is declared HTTP.
func get(path string, headers ...string) oracle.Request {
	return onPort(80, request("GET", path, headers...))
}

func request(method, path string, headers ...string) oracle.Request {
	http := &oracle.HTTP{Method: method, Path: path, Authority: "api.shop"}
	for _, text := range headers {
		name, value, _ := strings.Cut(text, ": ")
		http.Headers = append(http.Headers, oracle.Header{Name: name, Value: value})
	}
	return oracle.Request{From: "shop/web-0", Namespace: "shop", Service: "api", Port: 80, HTTP: http}
}

func connect(number int32) oracle.Request {
	return oracle.Request{From: "shop/web-0", Namespace: "shop", Service: "api", Port: number}
}

func onPort(number int32, r oracle.Request) oracle.Request {
	r.Port = number
	return r
}

func fromPod(name string, r oracle.Request) oracle.Request {
	r.From = name
	return r
}

func toService(name string, r oracle.Request) oracle.Request {
	r.Service = name
	return r
}

func toHost(authority string, r oracle.Request) oracle.Request {
	r.HTTP.Authority = authority
	return r
}
