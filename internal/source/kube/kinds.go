package kube

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
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
	"github.com/smi-project/smi/internal/store"
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
	// optional is the version of a kind that the cluster may not serve, or not yet;
	// empty where every cluster does. smi tells that it is one of SMI.
	optional schema.GroupVersion
	smi      bool
	// ranges, where set, are all that is kept of an object, as it writes them: the
	// store has no table for the kind.
	ranges func(store.Object) []string
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
		giving(builtin(&corev1.Node{}, &corev1.NodeList{}, trimNode), func(o *corev1.Node) []string { return o.Spec.PodCIDRs }),
		// Since Kubernetes 1.33.
		optional(networkingv1.SchemeGroupVersion, giving(builtin(&networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{}, trimServiceCIDR),
			func(o *networkingv1.ServiceCIDR) []string { return o.Spec.CIDRs })),
		ours(access.SchemeGroupVersion, &access.TrafficTarget{}, &access.TrafficTargetList{}),
		ours(access.SchemeGroupVersion, &access.IdentityBinding{}, &access.IdentityBindingList{}),
		ours(specs.SchemeGroupVersion, &specs.HTTPRouteGroup{}, &specs.HTTPRouteGroupList{}),
		ours(specs.SchemeGroupVersion, &specs.TCPRoute{}, &specs.TCPRouteList{}),
		ours(specs.SchemeGroupVersion, &specs.UDPRoute{}, &specs.UDPRouteList{}),
		ours(split.SchemeGroupVersion, &split.TrafficSplit{}, &split.TrafficSplitList{}),
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
}](version schema.GroupVersion, object P, list client.ObjectList) kind {
	return kind{name: reflect.TypeFor[T]().Name(), object: object, list: list, optional: version, smi: true, trim: trimMeta, same: sameSpec}
}

func selected(k kind, label labels.Selector, field fields.Selector) kind {
	k.label, k.field = label, field
	return k
}

func optional(version schema.GroupVersion, k kind) kind {
	k.optional = version
	return k
}

// giving is a kind that only says which ranges addresses are given from.
func giving[P client.Object](k kind, ranges func(P) []string) kind {
	k.ranges = func(o store.Object) []string { return ranges(o.(P)) }
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
