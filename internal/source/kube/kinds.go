package kube

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
)

// kind is one kind of objects that is read.
type kind struct {
	// name is how the kind is written.
	name   string
	object client.Object
	list   client.ObjectList
	// trim removes what no mesh needs. It may change the object.
	trim func(client.Object) client.Object
	// same tells whether two versions of an object mean the same to the mesh.
	same func(a, b client.Object) bool
	// label and field select on the server what is read at all.
	label labels.Selector
	field fields.Selector
	// smi tells that the kind is one of SMI, which may not be installed yet.
	smi bool
	// aside tells that the store has no table for the kind.
	aside bool
}

// foreignSlices selects the EndpointSlices of Services without a selector. Those
// that Kubernetes makes of a selector say nothing that pods do not say.
var foreignSlices = func() labels.Selector {
	madeOfPods, err := labels.NewRequirement(discoveryv1.LabelManagedBy, selection.NotEquals, []string{"endpointslice-controller.k8s.io"})
	utilruntime.Must(err)
	return labels.NewSelector().Add(*madeOfPods)
}()

// running selects the pods that have not ended.
var running = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
)

// kinds are all that is read.
func kinds() []kind {
	return []kind{
		builtin(&corev1.Namespace{}, &corev1.NamespaceList{}, trimNamespace),
		selected(builtin(&corev1.Pod{}, &corev1.PodList{}, trimPod), nil, running),
		builtin(&corev1.ServiceAccount{}, &corev1.ServiceAccountList{}, trimServiceAccount),
		builtin(&corev1.Service{}, &corev1.ServiceList{}, trimService),
		selected(builtin(&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}, trimEndpointSlice), foreignSlices, nil),
		aside(builtin(&corev1.Node{}, &corev1.NodeList{}, trimNode)),
		ours(&access.TrafficTarget{}, &access.TrafficTargetList{}),
		ours(&access.IdentityBinding{}, &access.IdentityBindingList{}),
		ours(&specs.HTTPRouteGroup{}, &specs.HTTPRouteGroupList{}),
		ours(&specs.TCPRoute{}, &specs.TCPRouteList{}),
		ours(&specs.UDPRoute{}, &specs.UDPRouteList{}),
		ours(&split.TrafficSplit{}, &split.TrafficSplitList{}),
	}
}

// builtin is a kind of Kubernetes.
func builtin[T any, P interface {
	*T
	client.Object
}](object P, list client.ObjectList, trim func(P) P) kind {
	return kind{
		name: reflect.TypeFor[T]().Name(), object: object, list: list,
		trim: func(o client.Object) client.Object { return trim(o.(P)) },
		same: func(a, b client.Object) bool {
			// What was trimmed holds nothing that the mesh does not need, but for the
			// version, which informers cannot do without.
			again := *a.(P)
			P(&again).SetResourceVersion(b.GetResourceVersion())
			return reflect.DeepEqual(P(&again), b)
		},
	}
}

// ours is a kind of SMI. Its status stays, so that whoever writes it knows what it
// says.
func ours[T any, P interface {
	*T
	client.Object
}](object P, list client.ObjectList) kind {
	return kind{name: reflect.TypeFor[T]().Name(), object: object, list: list, smi: true, trim: trimMeta, same: sameSpec}
}

func selected(k kind, label labels.Selector, field fields.Selector) kind {
	k.label, k.field = label, field
	return k
}

func aside(k kind) kind {
	k.aside = true
	return k
}

// AddToScheme adds the kinds of SMI to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{access.AddToScheme, specs.AddToScheme, split.AddToScheme} {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// groupVersion is that of a kind of SMI.
func (k kind) groupVersion() schema.GroupVersion {
	switch k.object.(type) {
	case *access.TrafficTarget, *access.IdentityBinding:
		return access.SchemeGroupVersion
	case *split.TrafficSplit:
		return split.SchemeGroupVersion
	default:
		return specs.SchemeGroupVersion
	}
}

// CacheOptions are those of a cache that a Source reads from: what no mesh needs
// is dropped before it is kept, and nothing is read that nobody asked for.
func CacheOptions() cache.Options {
	trims, selected := map[reflect.Type]func(client.Object) client.Object{}, map[client.Object]cache.ByObject{}
	for _, k := range kinds() {
		trims[reflect.TypeOf(k.object)] = k.trim
		// The cluster must know a kind that is named here.
		if k.label != nil || k.field != nil {
			selected[k.object] = cache.ByObject{Label: k.label, Field: k.field}
		}
	}
	return cache.Options{
		ByObject: selected, ReaderFailOnMissingInformer: true,
		DefaultTransform: func(o any) (any, error) {
			if trim := trims[reflect.TypeOf(o)]; trim != nil {
				return trim(o.(client.Object)), nil
			}
			return o, nil // A deletion that was missed, whose object is trimmed already.
		},
	}
}
