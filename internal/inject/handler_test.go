package inject_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/smi-project/smi/internal/inject"
	"github.com/smi-project/smi/internal/sidecar"
)

// namespaces is a cluster that has these and no others.
type namespaces []*corev1.Namespace

func (n namespaces) Namespace(_ context.Context, name string) (*corev1.Namespace, error) {
	for _, namespace := range n {
		if namespace.Name == name {
			return namespace, nil
		}
	}
	return nil, errors.New("not found")
}

// TestHandlerAnswersAsInjectionDoes sends each case's pod as the API server
// does, and applies the patch that comes back as it does.
func TestHandlerAnswersAsInjectionDoes(t *testing.T) {
	for _, folder := range cases(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			namespace, pod := readCase(t, folder)
			injector := newInjector(t, options())
			want, err := injector.Inject(namespace, pod)
			if err != nil {
				t.Fatal(err)
			}
			server := serve(t, injector, namespace)
			sent := encode(t, pod)
			answer := server.create(t, namespace.Name, sent)
			got := answer.applied(t, sent)
			if diff := cmp.Diff(want, decodePod(t, got)); diff != "" {
				t.Errorf("the patched pod is not the injected one (-injected +patched):\n%s", diff)
			}
			if again := server.create(t, namespace.Name, got); !again.Allowed || again.Patch != nil || again.PatchType != nil {
				t.Errorf("a second run is not without a patch: %s %s", again.Patch, again.Result.Message)
			}
		})
	}
}

// TestHandlerKeepsWhatItDoesNotKnow sends a pod of a later Kubernetes.
func TestHandlerKeepsWhatItDoesNotKnow(t *testing.T) {
	sent := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","later":{"a":1}},"spec":{"later":12345678901234567890,
		"initContainers":[{"name":"first","later":"b"}],
		"containers":[{"name":"web","later":["c"],"lifecycle":{"later":"d"},"readinessProbe":{"later":"e","tcpSocket":{"port":80}}}],
		"volumes":[{"name":"data","later":{"f":true}}]}}`)
	namespace, _ := ordinary()
	answer := serve(t, newInjector(t, options()), namespace).create(t, "shop", sent)
	var got struct {
		Metadata struct{ Later map[string]int }
		Spec     struct {
			Later          json.Number
			InitContainers []struct{ Name, Later string }
			Containers     []struct {
				Later          []string
				Lifecycle      struct{ Later string }
				ReadinessProbe struct {
					Later   string
					HTTPGet struct{ Path string }
				}
			}
			Volumes []struct {
				Name  string
				Later map[string]bool
			}
		}
	}
	if err := json.Unmarshal(answer.applied(t, sent), &got); err != nil {
		t.Fatal(err)
	}
	s := got.Spec
	if got.Metadata.Later["a"] != 1 || s.Later != "12345678901234567890" ||
		len(s.InitContainers) != 3 || s.InitContainers[2].Name != "first" || s.InitContainers[2].Later != "b" ||
		s.Containers[0].Later[0] != "c" || s.Containers[0].Lifecycle.Later != "d" || s.Containers[0].ReadinessProbe.Later != "e" ||
		len(s.Volumes) != 4 || s.Volumes[0].Name != "data" || !s.Volumes[0].Later["f"] {
		t.Errorf("fields that this release does not know were lost: %+v", got)
	}
	if s.Containers[0].ReadinessProbe.HTTPGet.Path != "/"+token+"/web/readiness" {
		t.Errorf("the probe beside an unknown field was not rewritten: %+v", got)
	}
}

func TestHandlerRefuses(t *testing.T) {
	namespace, pod := ordinary()
	server := serve(t, newInjector(t, options()), namespace)
	pod.Spec.HostNetwork = true
	for name, c := range map[string]struct {
		namespace string
		sent      []byte
		code      int32
		want      string
	}{
		"a pod that cannot be guarded": {"shop", encode(t, pod), http.StatusForbidden, "pod shop/web-* cannot be brought into the mesh: spec.hostNetwork: "},
		"a namespace that is gone":     {"elsewhere", encode(t, pod), http.StatusInternalServerError, "reading the namespace elsewhere: not found"},
		"no pod":                       {"shop", []byte(`{"apiVersion":"v1","kind":"Service"}`), http.StatusBadRequest, "reading the pod: "},
		"nothing":                      {"shop", nil, http.StatusBadRequest, "reading the pod: "},
	} {
		answer := server.create(t, c.namespace, c.sent)
		if answer.Allowed || answer.Result.Code != c.code || !strings.HasPrefix(answer.Result.Message, c.want) {
			t.Errorf("%s: the answer is %v %+v", name, answer.Allowed, answer.Result)
		}
	}
}

// TestHandlerLeavesOthersAlone shows requests that are no business of the
// injector's, should the API server ever send them.
func TestHandlerLeavesOthersAlone(t *testing.T) {
	namespace, pod := ordinary()
	handler := newInjector(t, options()).Handler(namespaces{namespace})
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"an update":     func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"a subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "ephemeralcontainers" },
		"a Service":     func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "services" },
	} {
		request := review("shop", encode(t, pod)).Request
		change(request)
		answer := handler.Handle(t.Context(), admission.Request{AdmissionRequest: *request})
		if !answer.Allowed || len(answer.Patches) != 0 {
			t.Errorf("%s: the answer is %v, %+v", name, answer.Allowed, answer.Patches)
		}
	}
}

func TestReadNamespaces(t *testing.T) {
	namespace, _ := ordinary()
	reader := inject.ReadNamespaces(fake.NewClientBuilder().WithObjects(namespace).Build())
	got, err := reader.Namespace(t.Context(), "shop")
	if err != nil || got.Labels[sidecar.LabelInject] != sidecar.InjectEnabled {
		t.Errorf("the namespace is %v, %v", got, err)
	}
	if _, err := reader.Namespace(t.Context(), "elsewhere"); err == nil {
		t.Error("a namespace that does not exist is found")
	}
}

// server speaks the API server's side of the webhook.
type server struct{ *httptest.Server }

func serve(t testing.TB, injector *inject.Injector, namespace *corev1.Namespace) server {
	s := httptest.NewServer(&admission.Webhook{Handler: injector.Handler(namespaces{namespace})})
	t.Cleanup(s.Close)
	return server{s}
}

// answer is what the webhook says of a pod.
type answer struct{ *admissionv1.AdmissionResponse }

func (s server) create(t testing.TB, namespace string, pod []byte) answer {
	t.Helper()
	body, err := json.Marshal(review(namespace, pod))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(s.URL, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Response == nil || got.Response.UID != "1" {
		t.Fatalf("the answer is to another request: %+v", got.Response)
	}
	return answer{got.Response}
}

// applied is the pod with the patch, as the API server applies it.
func (a answer) applied(t testing.TB, pod []byte) []byte {
	t.Helper()
	if !a.Allowed {
		t.Fatalf("the pod was refused: %s", a.Result.Message)
	}
	if a.Patch == nil {
		return pod
	}
	patch, err := jsonpatch.DecodePatch(a.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(pod)
	if err != nil {
		t.Fatalf("the patch does not fit: %v\n%s", err, a.Patch)
	}
	return patched
}

func review(namespace string, pod []byte) *admissionv1.AdmissionReview {
	dry := true
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Namespace: namespace, Operation: admissionv1.Create, DryRun: &dry,
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object:   runtime.RawExtension{Raw: pod},
		},
	}
}

func encode(t testing.TB, pod *corev1.Pod) []byte {
	t.Helper()
	pod = pod.DeepCopy()
	pod.APIVersion, pod.Kind = "v1", "Pod"
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decodePod(t testing.TB, raw []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}
