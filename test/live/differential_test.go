//go:build linux

package live_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/internal/oracle"
	"github.com/smi-project/smi/internal/oracle/agreement"
	"github.com/smi-project/smi/internal/oracle/worldgen"
	"github.com/smi-project/smi/internal/rig"
	"github.com/smi-project/smi/mesh"
)

var (
	meshes    = flag.Int("meshes", 300, "how many random meshes real Envoys are compared with the oracle in")
	perMesh   = flag.Int("requests", 34, "how many random requests are sent in each mesh")
	firstMesh = flag.Uint64("first-mesh", 1, "the seed of the first mesh")
)

// pastDisagreements are the seeds of meshes in which a real Envoy once did
// something else than the oracle says.
var pastDisagreements = []uint64{62, 138, 139, 5024}

// slots are the pods of all random meshes: three namespaces, accounts of one
// pod and of several.
var slots = []rig.Slot{
	{Namespace: "shop", Name: "web-0", ServiceAccount: "web", Labels: map[string]string{"app": "web", "version": "v1"}, Ports: []uint16{8080, 9090, 7000, 5432}},
	{Namespace: "shop", Name: "web-1", ServiceAccount: "web", Labels: map[string]string{"app": "web", "version": "v2"}, Ports: []uint16{8080, 9090, 7000, 5432}},
	{Namespace: "shop", Name: "api-0", ServiceAccount: "api", Labels: map[string]string{"app": "api", "version": "v1"}, Ports: []uint16{8080, 9090, 7000, 5432}},
	{Namespace: "bank", Name: "db-0", ServiceAccount: "db", Labels: map[string]string{"app": "db", "version": "v1"}, Ports: []uint16{8080, 9090, 7000, 5432}},
	{Namespace: "bank", Name: "api-0", ServiceAccount: "shared", Labels: map[string]string{"app": "api", "version": "v1"}, Ports: []uint16{8080, 9090, 7000, 5432}},
	{Namespace: "lab", Name: "web-0", ServiceAccount: "default", Labels: map[string]string{"app": "web", "version": "v2"}, Ports: []uint16{8080, 9090, 7000, 5432}},
}

func worldSlots() []worldgen.Slot {
	var all []worldgen.Slot
	for _, s := range slots {
		slot := worldgen.Slot{Namespace: s.Namespace, PodName: s.Name, ServiceAccount: s.ServiceAccount, Labels: s.Labels}
		for _, p := range s.Ports {
			slot.Ports = append(slot.Ports, int32(p))
		}
		all = append(all, slot)
	}
	return all
}

// TestEnvoyAgreesWithOracle sends random requests through random meshes and
// compares what real Envoys did with the oracle, and the oracle with explain.
func TestEnvoyAgreesWithOracle(t *testing.T) {
	r := rig.Start(t, slots, rig.Options{})
	r.Apply()
	for _, seed := range pastDisagreements {
		compareMesh(t, r, seed, 4**perMesh)
	}
	for seed := *firstMesh; seed < *firstMesh+uint64(*meshes); seed++ {
		compareMesh(t, r, seed, *perMesh)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests in %d meshes", *meshes**perMesh, *meshes)
}

func compareMesh(t *testing.T, r *rig.Rig, seed uint64, requests int) {
	w := worldgen.Live(seed, worldSlots())
	// An empty mesh between two random ones closes the connections that sidecars
	// keep to each other: one that was opened to a port while it spoke TCP may
	// live on for the 30 s of AC-17, and what is sent over it is not looked at.
	r.Apply()
	r.Apply(agreement.Objects(w)...)
	evaluator := explain.New(r.Plane.Mesh())
	var (
		mu      sync.Mutex
		waiting sync.WaitGroup
	)
	queue := make(chan oracle.Request)
	for range 6 {
		waiting.Go(func() {
			for request := range queue {
				complaint := compareRequest(r, evaluator, w, request)
				mu.Lock()
				if complaint != "" && !t.Failed() {
					t.Errorf("seed %d: %s\n%s", seed, complaint, worldgen.Describe(w))
				}
				mu.Unlock()
			}
		})
	}
	for _, request := range worldgen.LiveRequests(seed, w, requests) {
		queue <- request
	}
	close(queue)
	waiting.Wait()
}

// compareRequest sends one request and returns what is wrong with the answer,
// "" if nothing. Nothing is asked twice: where a request is split, a wrong route
// may well lead to a right answer the next time.
func compareRequest(r *rig.Rig, evaluator *explain.Evaluator, w *oracle.World, request oracle.Request) string {
	if diff := agreement.Disagreement(evaluator, w, request); diff != "" {
		return fmt.Sprintf("%s: %s", request, diff)
	}
	verdict := oracle.Judge(w, request)
	expected := expectation(w, request, verdict, r.Plane.Mesh())
	answer, how, err := send(r, w, request)
	complaint := ""
	if err != nil {
		complaint = err.Error()
	} else if got := outcome(answer); !slices.Contains(expected, got) {
		complaint = fmt.Sprintf("Envoy's outcome is %q, and one of %q is right", got, expected)
	}
	if complaint == "" {
		return ""
	}
	return fmt.Sprintf("%s (%s): %s\noracle: %s", request, how, complaint, verdict)
}

// Outcomes that no application had a part in.
const (
	denied      = "403"
	badRequest  = "400"
	unavailable = "503"
	closed      = "closed"
)

// outcome is what happened, in a word: who answered, or how it was refused.
func outcome(a *rig.Answer) string {
	switch {
	case a.Closed:
		return closed
	case a.Status == http.StatusOK && a.Seen.Pod != "":
		return reached(a.Seen.Pod, a.Seen.Port)
	case a.Status == http.StatusOK:
		return "200 without a body"
	case a.Status != 0:
		return fmt.Sprint(a.Status)
	default:
		pod, port, _ := strings.Cut(a.Body, " ")
		return "pod " + pod + " port " + port
	}
}

func reached(pod string, port uint16) string { return fmt.Sprintf("pod %s port %d", pod, port) }

// expectation lists every outcome that the verdict allows.
func expectation(w *oracle.World, request oracle.Request, v oracle.Verdict, m *mesh.Mesh) []string {
	var all []string
	for _, o := range v.Outcomes {
		switch {
		case o.Allowed:
			all = append(all, reached(o.Pod, uint16(o.Port)))
		case o.BadRequest:
			all = append(all, badRequest)
		default:
			all = append(all, refusals(w, request, m)...)
		}
	}
	port := m.Service(mesh.Name{Namespace: request.Namespace, Name: request.Service}).Port(uint16(request.Port))
	if v.BadRequest.Sign() > 0 {
		all = append(all, badRequest)
	}
	if v.Unavailable.Sign() > 0 {
		all = append(all, unavailable)
		if request.HTTP == nil || port.Protocol == mesh.TCP {
			all = append(all, closed)
		}
	}
	if !reaches(m, request.From, port) {
		// Without any grant its own sidecar already refuses (AC-12).
		all = append(all, refusals(w, request, m)...)
	}
	return all
}

// refusals are the forms that a denial takes on the way of the request: 403
// where both sides speak HTTP; a connection that is closed where one does not,
// which a sidecar that has sent HTTP into it reports as 503.
func refusals(w *oracle.World, request oracle.Request, m *mesh.Mesh) []string {
	port := m.Service(mesh.Name{Namespace: request.Namespace, Name: request.Service}).Port(uint16(request.Port))
	switch {
	case request.HTTP == nil:
		return []string{closed}
	case port.Protocol == mesh.TCP:
		return []string{closed, denied}
	}
	forms := []string{denied}
	for _, d := range everyDestination(m, port) {
		if d.Protocol == mesh.TCP {
			return append(forms, unavailable)
		}
	}
	return forms
}

// everyDestination are those of the port and of the backends of its splits.
func everyDestination(m *mesh.Mesh, port *mesh.ServicePort) []mesh.Destination {
	all := slices.Clone(port.Destinations)
	for _, s := range port.Splits {
		for _, b := range s.Backends {
			all = append(all, m.Service(b.Service).Port(b.Port).Destinations...)
		}
	}
	return all
}

func reaches(m *mesh.Mesh, pod string, port *mesh.ServicePort) bool {
	for _, w := range m.Workloads {
		for _, p := range w.Pods {
			if p.String() == pod {
				return slices.Contains(w.Reaches, port)
			}
		}
	}
	return false
}

// send sends the request through the sidecar of its pod, and says how. HTTP for
// a port that is declared TCP, and everything that is not HTTP, goes by the
// address that the sidecar has for the port; other HTTP by the sidecar as a
// proxy, or by that address.
func send(r *rig.Rig, w *oracle.World, request oracle.Request) (*rig.Answer, string, error) {
	pod := r.Pods[request.From]
	upstream := pod.Upstream(request.Namespace, request.Service, uint16(request.Port))
	if request.HTTP == nil {
		answer, err := rig.TCP(upstream)
		return answer, "bytes to " + upstream, err
	}
	address, how := pod.Proxy(), "HTTP by the proxy"
	if declaredTCP(r, request) || len(request.HTTP.Path)%2 == 0 {
		address, how = upstream, "HTTP to "+upstream
	}
	var header [][2]string
	for _, h := range request.HTTP.Headers {
		header = append(header, [2]string{h.Name, h.Value})
	}
	answer, err := rig.HTTP(address, request.HTTP.Method, request.HTTP.Path, request.HTTP.Authority, header)
	return answer, how, err
}

func declaredTCP(r *rig.Rig, request oracle.Request) bool {
	service := r.Plane.Mesh().Service(mesh.Name{Namespace: request.Namespace, Name: request.Service})
	return service.Port(uint16(request.Port)).Protocol == mesh.TCP
}
