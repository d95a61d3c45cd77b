package inpod

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// seen is what reached the application.
type seen struct{ requests []*http.Request }

// application answers by the path: /<status>, /away, /near, /sidecar.
func application(t *testing.T) (*seen, int, string) {
	t.Helper()
	s := &seen{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests = append(s.requests, r)
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://198.51.100.1/", http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/500", http.StatusFound)
		case "/sidecar":
			http.Redirect(w, r, "http://127.0.0.1:15020/metrics", http.StatusFound)
		default:
			var code int
			if _, err := fmt.Sscanf(r.URL.Path, "/%d", &code); err != nil {
				code = http.StatusOK
			}
			w.WriteHeader(code)
			fmt.Fprint(w, "the application's own words")
		}
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return s, listener.Addr().(*net.TCPAddr).Port, listener.Addr().String()
}

func TestProbes(t *testing.T) {
	_, port, _ := application(t)
	get := func(path string) sidecar.Probe {
		return sidecar.Probe{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port)}}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	rpc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	checks := health.NewServer()
	checks.SetServingStatus("good", healthv1.HealthCheckResponse_SERVING)
	checks.SetServingStatus("bad", healthv1.HealthCheckResponse_NOT_SERVING)
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, checks)
	go server.Serve(rpc)
	t.Cleanup(server.Stop)
	grpcProbe := func(service string) sidecar.Probe {
		return sidecar.Probe{GRPC: &corev1.GRPCAction{Port: int32(rpc.Addr().(*net.TCPAddr).Port), Service: &service}}
	}
	for name, tc := range map[string]struct {
		probe sidecar.Probe
		want  string // "" is success
	}{
		"200":                {get("/200"), ""},
		"399":                {get("/399"), ""},
		"400":                {get("/400"), "answered GET /400 with 400"},
		"503":                {get("/503"), "with 503"},
		"redirect elsewhere": {get("/away"), ""},
		"redirect within":    {get("/near"), "answered GET /near with 500"},
		"redirect sidecar":   {get("/sidecar"), "port 15020 is the sidecar's"},
		"no HTTP":            {sidecar.Probe{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt(nobody)}}, "refused"},
		"TCP":                {sidecar.Probe{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(port)}}, ""},
		"TCP refused":        {sidecar.Probe{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(nobody)}}, "refused"},
		"gRPC":               {grpcProbe("good"), ""},
		"gRPC not serving":   {grpcProbe("bad"), "NOT_SERVING"},
		"gRPC unknown":       {grpcProbe("other"), "NotFound"},
		"nothing":            {sidecar.Probe{}, "asks nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			prober := testProber("/app/readiness", tc.probe)
			answer := httptest.NewRecorder()
			prober.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/token/app/readiness", nil))
			body := answer.Body.String()
			switch {
			case tc.want == "" && answer.Code != http.StatusOK:
				t.Errorf("got %d %s", answer.Code, body)
			case tc.want != "" && (answer.Code != http.StatusServiceUnavailable || !strings.Contains(body, tc.want)):
				t.Errorf("got %d %s, want 503 ... %s", answer.Code, body, tc.want)
			case strings.Contains(body, "own words"):
				t.Error("the caller gets what the application says")
			}
		})
	}
}

// testProber is that of a pod with one probe.
func testProber(name string, probe sidecar.Probe) *prober {
	settings := &sidecar.Settings{ProbeToken: "token", Probes: map[string]sidecar.Probe{name: probe}}
	return newProber(settings, newDialer([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil))
}

// TestProbeForwardsNothing is AC-14: whoever reaches the port gets the probe that
// is declared and nothing else.
func TestProbeForwardsNothing(t *testing.T) {
	saw, port, _ := application(t)
	prober := testProber("/app/liveness", sidecar.Probe{HTTPGet: &corev1.HTTPGetAction{
		Path: "/live?full=1", Port: intstr.FromInt(port), HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "example.test"}, {Name: "X-Probe", Value: "yes"}, {Name: "User-Agent", Value: "mine"}},
	}})
	request := httptest.NewRequest(http.MethodGet, "/token/app/liveness?full=0&path=/admin", strings.NewReader("body"))
	request.Header.Set("Authorization", "Bearer stolen")
	request.Header.Set("X-Original-Path", "/admin")
	answer := httptest.NewRecorder()
	prober.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK || len(saw.requests) != 1 {
		t.Fatalf("got %d, and %d requests reached the application", answer.Code, len(saw.requests))
	}
	got := saw.requests[0]
	if got.Method != http.MethodGet || got.URL.String() != "/live?full=1" || got.Host != "example.test" || got.ContentLength > 0 {
		t.Errorf("the application got %s %s for %s", got.Method, got.URL, got.Host)
	}
	for name, want := range map[string]string{"X-Probe": "yes", "User-Agent": "mine", "Authorization": "", "X-Original-Path": ""} {
		if now := got.Header.Get(name); now != want {
			t.Errorf("header %s is %q, want %q", name, now, want)
		}
	}
}

// TestProbesAreForWhoKnowsThem has strangers, who can run no hook and learn nothing
// of the pod.
func TestProbesAreForWhoKnowsThem(t *testing.T) {
	saw, port, _ := application(t)
	prober := testProber("/app/preStop", sidecar.Probe{HTTPGet: &corev1.HTTPGetAction{Path: "/shutdown", Port: intstr.FromInt(port)}})
	for _, asked := range []struct{ method, path string }{
		{http.MethodGet, "/"}, {http.MethodGet, "/app/preStop"}, {http.MethodGet, "//app/preStop"}, {http.MethodGet, "/other/app/preStop"},
		{http.MethodGet, "/token/app/preStop/"}, {http.MethodGet, "/token/app/readiness"}, {http.MethodGet, "/token"}, {http.MethodGet, "/shutdown"},
		{http.MethodPost, "/token/app/preStop"},
	} {
		answer := httptest.NewRecorder()
		prober.ServeHTTP(answer, httptest.NewRequest(asked.method, asked.path, nil))
		if answer.Code != http.StatusNotFound || answer.Body.Len() > 0 {
			t.Errorf("%s %s: %d %s", asked.method, asked.path, answer.Code, answer.Body)
		}
	}
	if len(saw.requests) > 0 {
		t.Errorf("%d requests reached the application", len(saw.requests))
	}
}

// TestSlowProbeHoldsUpNoOther has a readiness probe that is asked for by many and
// not answered, while the kubelet asks for liveness.
func TestSlowProbeHoldsUpNoOther(t *testing.T) {
	arrived, done := make(chan struct{}, 100), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-done
		}
	}))
	defer app.Close()
	port := app.Listener.Addr().(*net.TCPAddr).Port
	get := func(path string) sidecar.Probe {
		return sidecar.Probe{TimeoutSeconds: 60, HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port)}}
	}
	settings := &sidecar.Settings{ProbeToken: "token", Probes: map[string]sidecar.Probe{"/app/readiness": get("/slow"), "/app/liveness": get("/live")}}
	prober := newProber(settings, newDialer([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil))
	ask := func(path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		prober.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer close(done)
	for range maxAtOnce {
		asking.Go(func() { ask("/token/app/readiness") })
	}
	for range maxAtOnce {
		<-arrived
	}
	if answer := ask("/token/app/readiness"); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "too often") {
		t.Errorf("one more: %d %s", answer.Code, answer.Body)
	}
	if answer := ask("/token/app/liveness"); answer.Code != http.StatusOK {
		t.Errorf("another probe: %d %s", answer.Code, answer.Body)
	}
}

// The application is asked from the delivery address, which is not redirected,
// and others are not.
func TestProbesComeFromTheDeliveryAddress(t *testing.T) {
	saw, port, _ := application(t)
	delivery := netip.MustParseAddr("127.0.0.99")
	d := newDialer([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, []netip.Addr{delivery, netip.MustParseAddr("::1")})
	prober := newProber(&sidecar.Settings{Probes: map[string]sidecar.Probe{"/app/startup": {HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt(port)}}}}, d)
	prober.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/app/startup", nil))
	if len(saw.requests) != 1 || !strings.HasPrefix(saw.requests[0].RemoteAddr, delivery.String()+":") {
		t.Errorf("the application saw %v", saw.requests)
	}
	other, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	connection, err := d.DialContext(context.Background(), "tcp", other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if strings.HasPrefix(connection.LocalAddr().String(), delivery.String()) {
		t.Error("somebody else is called from the delivery address")
	}
}
