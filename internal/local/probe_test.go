//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestProbeChecks asks a server that answers /healthz with what it is told by a
// header, once.
func TestProbeChecks(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Probe") != "yes" || r.Host == "":
			w.WriteHeader(http.StatusTeapot)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "http://elsewhere.example.org", http.StatusFound)
		case r.URL.RequestURI() != "/healthz?full=1":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	at := func(s *httptest.Server) int32 {
		return int32(netip.MustParseAddrPort(s.Listener.Addr().String()).Port())
	}
	app := netip.MustParseAddr("127.0.0.1")
	get := func(path string, port intstr.IntOrString, scheme corev1.URIScheme) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: port, Scheme: scheme, HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Probe", Value: "yes"}},
		}}
	}
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: at(plain)}}
	for name, tc := range map[string]struct {
		handler corev1.ProbeHandler
		fails   string
	}{
		"http":             {handler: get("/healthz?full=1", intstr.FromInt32(at(plain)), "")},
		"port by its name": {handler: get("healthz?full=1", intstr.FromString("http"), corev1.URISchemeHTTP)},
		"https":            {handler: get("/healthz?full=1", intstr.FromInt32(at(secure)), corev1.URISchemeHTTPS)},
		"redirect":         {handler: get("/moved", intstr.FromString("http"), "")},
		"not found":        {handler: get("/other", intstr.FromString("http"), ""), fails: "/other answered 404"},
		"tcp":              {handler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("http")}}},
		"grpc":             {handler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: at(plain)}}},
		"nobody there":     {handler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(1)}}, fails: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := readiness(&corev1.Container{Ports: ports, ReadinessProbe: &corev1.Probe{ProbeHandler: tc.handler}}, app)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			err = p.check(ctx)
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("got %v, want %q", err, tc.fails)
			}
		})
	}
}

func TestProbeThatMakesNoSense(t *testing.T) {
	for want, handler := range map[string]corev1.ProbeHandler{
		"the standalone runtime has no image": {Exec: &corev1.ExecAction{}},
		`names port "none"`:                   {TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("none")}},
		"port 70000 is none":                  {HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(70000)}},
	} {
		_, err := readiness(&corev1.Container{Name: "app", ReadinessProbe: &corev1.Probe{ProbeHandler: handler}}, here.app)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "container app") {
			t.Errorf("got %v, want ...%s...", err, want)
		}
	}
	if p, err := readiness(&corev1.Container{}, here.app); p != nil || err != nil {
		t.Errorf("no probe: %v, %v", p, err)
	}
}

// TestProbeThresholds feeds a probe with answers, + for yes and others for no with
// this reason, and writes down what it reports.
func TestProbeThresholds(t *testing.T) {
	for _, tc := range []struct {
		name, answers, want string
		failures, successes int
	}{
		{"ready at once", "++", "ready", 1, 1},
		{"the first answers are no", "aab+", "a b ready", 1, 1},
		{"one failure of three is forgiven", "+aa+aa+", "ready", 3, 1},
		{"three in a row are not", "+aaab+", "ready a b ready", 3, 1},
		{"two successes are needed", "+a++", "a ready", 1, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			n, got := 0, []string{}
			p := &probe{period: time.Nanosecond, timeout: bound, failures: tc.failures, successes: tc.successes, check: func(context.Context) error {
				if n == len(tc.answers) {
					stop()
					return ctx.Err()
				}
				answer := tc.answers[n : n+1]
				n++
				if answer == "+" {
					return nil
				}
				return errors.New(answer)
			}}
			p.run(ctx, func(ready bool, why error) {
				if ready {
					got = append(got, "ready")
				} else {
					got = append(got, fmt.Sprint(why))
				}
			})
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
