package inject

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// NamespaceReader reads the namespace of a pod.
type NamespaceReader interface {
	// Namespace returns it as it is now. A cache that lags behind would let pods
	// start unguarded in a namespace that has just opted in.
	Namespace(ctx context.Context, name string) (*corev1.Namespace, error)
}

// ReadNamespaces reads from the API server. The reader must not be a cache:
// a manager's GetAPIReader returns a fitting one.
func ReadNamespaces(reader client.Reader) NamespaceReader { return namespaces{reader} }

type namespaces struct{ reader client.Reader }

// Namespace reads the namespace from the API server.
func (n namespaces) Namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{}
	if err := n.reader.Get(ctx, client.ObjectKey{Name: name}, namespace); err != nil {
		return nil, err
	}
	return namespace, nil
}

// Handler answers the API server's requests to create pods. It has no side
// effects, and says no wherever it cannot tell what to do.
func (i *Injector) Handler(namespaces NamespaceReader) admission.Handler {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err) // the types of Kubernetes cannot be registered twice
	}
	decoder := admission.NewDecoder(scheme)
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		if request.Operation != admissionv1.Create || request.Resource.Resource != "pods" || request.SubResource != "" {
			return admission.Allowed("only new pods are brought into the mesh")
		}
		pod := &corev1.Pod{}
		if err := decoder.Decode(request, pod); err != nil {
			return admission.Errored(http.StatusBadRequest, fmt.Errorf("reading the pod: %w", err))
		}
		namespace, err := namespaces.Namespace(ctx, request.Namespace)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, fmt.Errorf("reading the namespace %s: %w", request.Namespace, err))
		}
		return i.answer(request.Object.Raw, namespace, pod)
	})
}

func (i *Injector) answer(raw []byte, namespace *corev1.Namespace, pod *corev1.Pod) admission.Response {
	injected, err := i.Inject(namespace, pod)
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return admission.Denied(refused.Error())
	case err != nil:
		return admission.Errored(http.StatusInternalServerError, err)
	case injected == pod:
		return admission.Allowed("the pod is not meant to be in the mesh")
	}
	result, err := patched(raw, pod, injected)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(raw, result)
}
