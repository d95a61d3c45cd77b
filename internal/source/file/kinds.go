package file

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	accessv1alpha3 "github.com/smi-project/smi/api/access/v1alpha3"
	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/spelling"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// typeName is an apiVersion, taken apart, and a kind.
type typeName struct {
	group   string
	version string
	kind    string
}

func typeNameOf(apiVersion, kind string) typeName {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	return typeName{group, version, kind}
}

func (t typeName) apiVersion() string {
	if t.group == "" {
		return t.version
	}
	return t.group + "/" + t.version
}

// kindReader knows how objects of one type become what the mesh is made of.
type kindReader struct {
	// blank returns an empty object of the type.
	blank func() metav1.Object
	// finish turns a decoded object into an object for the store or a workload.
	finish func(metav1.Object) made
	// cluster kinds have no namespace.
	cluster bool
	// named returns what is wrong with a name.
	named func(string) []string
}

// made is one of both.
type made struct {
	object   store.Object
	workload *workload
}

func of[T any, P interface {
	*T
	metav1.Object
}](finish func(P) made) kindReader {
	return kindReader{
		blank:  func() metav1.Object { return P(new(T)) },
		finish: func(o metav1.Object) made { return finish(o.(P)) },
		named:  validation.IsDNS1123Subdomain,
	}
}

// asIs is for objects that the store takes as they were read.
func asIs[P metav1.Object](o P) made { return made{object: o} }

type readers map[typeName]kindReader

const storedVersion = "v1alpha4"

func newReaders(opts Options) readers {
	namespace := of(asIs[*corev1.Namespace])
	namespace.cluster, namespace.named = true, validation.IsDNS1123Label
	services := of(service)
	services.named = validation.IsDNS1123Label
	return readers{
		{"", "v1", "Namespace"}:                            namespace,
		{"", "v1", "Service"}:                              services,
		{"", "v1", "ServiceAccount"}:                       of(asIs[*corev1.ServiceAccount]),
		{"", "v1", "Pod"}:                                  of(func(p *corev1.Pod) made { return pod(p, opts) }),
		{"discovery.k8s.io", "v1", "EndpointSlice"}:        of(asIs[*discoveryv1.EndpointSlice]),
		{"apps", "v1", "Deployment"}:                       of(func(d *appsv1.Deployment) made { return deployment(d, opts) }),
		{"apps", "v1", "ReplicaSet"}:                       of(func(r *appsv1.ReplicaSet) made { return replicaSet(r, opts) }),
		{"apps", "v1", "StatefulSet"}:                      of(func(s *appsv1.StatefulSet) made { return statefulSet(s, opts) }),
		{"apps", "v1", "DaemonSet"}:                        of(func(s *appsv1.DaemonSet) made { return daemonSet(s, opts) }),
		{"batch", "v1", "Job"}:                             of(func(j *batchv1.Job) made { return job(j, opts) }),
		{access.GroupName, storedVersion, "TrafficTarget"}: of(asIs[*access.TrafficTarget]),
		{access.GroupName, "v1alpha3", "TrafficTarget"}: of(func(t *accessv1alpha3.TrafficTarget) made {
			return made{object: accessv1alpha3.ToV1alpha4(t)}
		}),
		{access.GroupName, storedVersion, "IdentityBinding"}: of(asIs[*access.IdentityBinding]),
		{specs.GroupName, storedVersion, "HTTPRouteGroup"}:   of(asIs[*specs.HTTPRouteGroup]),
		{specs.GroupName, storedVersion, "TCPRoute"}:         of(asIs[*specs.TCPRoute]),
		{specs.GroupName, storedVersion, "UDPRoute"}:         of(asIs[*specs.UDPRoute]),
		{split.GroupName, storedVersion, "TrafficSplit"}:     of(asIs[*split.TrafficSplit]),
	}
}

// isSMI tells whether the group holds SMI's own resources.
func isSMI(group string) bool {
	return group == access.GroupName || group == specs.GroupName || group == split.GroupName
}

// knowKind tells whether a kind of that name is read in any group.
func (r readers) knowKind(kind string) bool {
	for t := range r {
		if t.kind == kind {
			return true
		}
	}
	return false
}

// names are the sorted texts that pick returns for the types it accepts.
func (r readers) names(pick func(typeName) (string, bool)) []string {
	set := map[string]bool{}
	for t := range r {
		if s, ok := pick(t); ok {
			set[s] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// whyNot says why a type is not read, or that it is none of our business.
func (r readers) whyNot(t typeName) (mesh.Finding, bool) {
	versions := r.names(func(o typeName) (string, bool) { return o.apiVersion(), o.kind == t.kind && o.group == t.group })
	kinds := r.names(func(o typeName) (string, bool) { return o.kind, o.group == t.group })
	elsewhere := r.names(func(o typeName) (string, bool) { return o.apiVersion(), o.kind == t.kind })
	smiKind := len(elsewhere) > 0 && isSMI(typeNameOf(elsewhere[0], "").group)
	switch {
	case isSMI(t.group) && len(versions) > 0:
		return unread("UnsupportedVersion", "%s is not read from files in version %s; write it as %s", t.kind, plain(t.version), either(versions)), true
	case isSMI(t.group) && len(elsewhere) > 0:
		return unread("UnknownKind", "%s has no kind %s; write apiVersion: %s", t.group, t.kind, either(elsewhere)), true
	case isSMI(t.group):
		return unread("UnknownKind", "%s has no kind %s%s", t.group, plain(t.kind), spelling.Hint(t.kind, kinds)), true
	case t.group == "metrics.smi-spec.io":
		f := unread("NotRead", "%s is measured and served, it cannot be given", plain(t.kind))
		f.Severity = mesh.Info
		return f, true
	case smiKind && (t.group == "" || strings.HasSuffix(t.group, "smi-spec.io")):
		return unread("UnknownVersion", "there is no %s in apiVersion %s; write apiVersion: %s", t.kind, quote(t.apiVersion()), either(elsewhere)), true
	case kubernetesGroups[t.group] && len(elsewhere) > 0 && !smiKind:
		f := unread("UnsupportedVersion", "%s is not read in apiVersion %s; write apiVersion: %s", t.kind, quote(t.apiVersion()), either(elsewhere))
		f.Severity = mesh.Warning
		return f, true
	default:
		return mesh.Finding{}, false
	}
}

// kubernetesGroups are those that hold, or once held, the kinds that are read.
var kubernetesGroups = map[string]bool{"": true, "apps": true, "batch": true, "extensions": true, "discovery.k8s.io": true}

func unread(reason, format string, args ...any) mesh.Finding {
	return mesh.Finding{Severity: mesh.Error, Field: "apiVersion", Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func either(names []string) string { return strings.Join(names, " or ") }
