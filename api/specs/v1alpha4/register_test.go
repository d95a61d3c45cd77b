package v1alpha4

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAddToScheme(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"HTTPRouteGroup", "HTTPRouteGroupList", "TCPRoute", "TCPRouteList", "UDPRoute", "UDPRouteList"} {
		gvk := schema.GroupVersionKind{Group: "specs.smi-spec.io", Version: "v1alpha4", Kind: kind}
		if _, err := scheme.New(gvk); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := Kind(kind); got != gvk.GroupKind() {
			t.Errorf("got %v", got)
		}
	}
	if got, want := Resource("things").String(), "things.specs.smi-spec.io"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
