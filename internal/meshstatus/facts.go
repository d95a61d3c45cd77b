package meshstatus

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/mesh"
)

// asked is an answer of the cluster, or why there is none.
type asked[T any] struct {
	got T
	err error
}

// Facts are what a cluster says of a mesh.
type Facts struct {
	// now is when they were collected.
	now time.Time
	// context names the cluster, namespace is the controller's, version that of this
	// program.
	context, namespace, version string

	definitions asked[[]crds.State]
	deployment  asked[*appsv1.Deployment]
	// controllers are the pods of the Deployment.
	controllers asked[[]corev1.Pod]
	lease       asked[*coordinationv1.Lease]
	webhook     asked[*admissionv1.MutatingWebhookConfiguration]
	// endpoints is how many replicas the controller's Service leads to.
	endpoints asked[int]
	config    asked[*config.Controller]
	authority asked[*rootkeeper.Status]
	// roots are what namespaces are told, as PEM.
	roots asked[map[string]string]
	// summaries are what the replicas say of their proxies.
	summaries  asked[[]status.Summary]
	namespaces asked[map[string]*corev1.Namespace]
	pods       asked[[]pod]
	// blocked are workloads that cannot make pods, by namespace, each with the reason.
	blocked asked[map[string][]string]
	// certificates are when those of some proxies end.
	certificates asked[map[mesh.Name]time.Time]
}

// pod is what matters of a Pod that has not ended.
type pod struct {
	name mesh.Name
	// meshed tells that it has a sidecar, of the image, which is ready or, if not,
	// waits for something.
	meshed, ready  bool
	image, waiting string
	// inject is the pod's own label, which comes before its namespace's.
	inject string
	// hostNetwork pods cannot be meshed.
	hostNetwork, deleting bool
	plaintext             string
	// redirection is what was done to its connections when it was made.
	redirection sidecar.Redirection
}
