package oracle_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	corev1 "k8s.io/api/core/v1"
)

// Whether a port is HTTP shows in whether a group opens it, and in whether bytes on it get 400.
func TestPR1_DeclaredProtocols(t *testing.T) {
	declared := func(p corev1.ServicePort) []any {
		return []any{service("api", "app=api", p), webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	}
	named := func(name string) []any { return declared(port(80, name, 8080)) }
	app := func(appProtocol, name string) []any { return declared(speaking(port(80, name, 8080), appProtocol)) }
	check(t, []rule{
		{"PR-1 http", named("http"), connect(80), "400"},
		{"PR-1 http with a suffix", named("http-web"), connect(80), "400"},
		{"PR-1 http2", named("http2"), connect(80), "400"},
		{"PR-1 grpc", named("grpc-web"), connect(80), "400"},
		{"PR-1 tcp", named("tcp"), get("/"), "denied"},
		{"PR-1 tls is TCP", named("tls-x"), get("/"), "denied"},
		{"PR-1 https is TCP", named("https"), get("/"), "denied"},
		{"PR-1 another word declares nothing", named("httpx"), connect(80), "denied"},
		{"PR-1 another word declares nothing, so a request is HTTP", named("tcpx"), get("/"), "allowed"},
		{"PR-1 appProtocol first", app("tcp", "http"), get("/"), "denied"},
		{"PR-1 appProtocol first, the other way", app("http", "tcp"), get("/"), "allowed"},
		{"PR-1 appProtocol kubernetes.io/h2c", app("kubernetes.io/h2c", ""), connect(80), "400"},
		{"PR-1 appProtocol kubernetes.io/ws", app("kubernetes.io/ws", ""), connect(80), "400"},
		{"PR-1 appProtocol grpc", app("grpc", ""), connect(80), "400"},
		{"PR-1 appProtocol https is TCP", app("https", "http"), get("/"), "denied"},
		{"PR-1 an appProtocol of others leaves it to the name", app("example.com/own", "tcp"), get("/"), "denied"},
	})
}

func TestPR1_APodPortDeclaredDifferentlyIsTCP(t *testing.T) {
	world := func(second ...corev1.ServicePort) []any {
		return []any{
			service("api", "app=api", port(80, "http", 8080)), service("second", "app=api", second...),
			webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/")),
		}
	}
	byName := corev1.ServicePort{Port: 80, Name: "tcp", TargetPort: intstr.FromString("http")}
	check(t, []rule{
		{"PR-1 http and tcp", world(port(80, "tcp", 8080)), get("/"), "denied"},
		{"PR-1 http and tcp, the target port by name", world(byName), get("/"), "denied"},
		{"PR-1 http and grpc are both HTTP", world(port(80, "grpc", 8080)), get("/"), "allowed"},
		{"PR-1 silence is no declaration", world(port(80, "", 8080)), get("/"), "allowed"},
		{"PR-1 another pod port", world(port(80, "tcp", 9090)), get("/"), "allowed"},
		{"PR-1 a UDP port says nothing of TCP", world(corev1.ServicePort{Port: 80, Name: "udp", Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(8080)}), get("/"), "allowed"},
		{"PR-1 bytes to a pod port that another Service declares HTTP", world(port(80, "", 8080)), toService("second", connect(80)), "400"},
	})
}

func TestPR2_UndeclaredPorts(t *testing.T) {
	group := []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/"))}
	serverFirst := func(p corev1.ServicePort) []any { return append(group, service("api", "app=api", p)) }
	check(t, []rule{
		{"PR-2 a request is HTTP", group, onPort(82, get("/")), "allowed"},
		{"PR-2 other bytes are TCP", []any{webToAPI(allow("TCPRoute", "t")), tcpRoute("t", 7000)}, connect(82), "allowed"},
		{"PR-2 an encoded slash is judged, as it is HTTP", group, onPort(82, get("/a%2fb")), "400"},
		{"PR-2 a server-first port is TCP", serverFirst(port(5432, "", 5432)), onPort(5432, get("/")), "denied"},
		{"PR-2 unless declared", serverFirst(port(5432, "http", 5432)), onPort(5432, get("/")), "allowed"},
		{"PR-2 the pod's port decides on its side", serverFirst(port(80, "", 5432)), get("/"), "denied"},
	})
}

func TestPR4_HeadersThatPeersMayNotSet(t *testing.T) {
	world := []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", header("x-envoy-original-path", ".*"))}
	check(t, []rule{
		{"PR-4 x-envoy headers are gone before anything reads them", world, get("/", "x-envoy-original-path: /a"), "denied"},
		{"PR-4 nor do they change the path", []any{webToAPI(allow("HTTPRouteGroup", "g")), group("g", path("/a"))}, get("/b", "x-envoy-original-path: /a"), "denied"},
	})
}
