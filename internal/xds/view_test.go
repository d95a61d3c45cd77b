package xds_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/internal/xds"
)

func TestView(t *testing.T) {
	v := xds.NewView(
		[]*envoy.Resource{resource("Cluster", "b", "1"), resource("Cluster", "a", "1"), resource("Listener", "a", "1")},
		[]*envoy.Resource{resource("Cluster", "b", "2")},
	)
	if diff := cmp.Diff([]string{"a", "b"}, v.Names(typeURLs["Cluster"])); diff != "" {
		t.Error(diff)
	}
	if got := v.Resource(typeURLs["Cluster"], "b"); got == nil || got.Version != "2" {
		t.Errorf("the last one of a name counts: %v", got)
	}
	if v.Resource(typeURLs["Cluster"], "c") != nil || v.Resource("unknown", "a") != nil || v.Names("unknown") != nil {
		t.Error("found what is not there")
	}
	same := xds.NewView([]*envoy.Resource{resource("Listener", "a", "1"), resource("Cluster", "a", "1"), resource("Cluster", "b", "2")})
	if v.Version() != same.Version() {
		t.Error("equal content has different versions")
	}
	other := xds.NewView([]*envoy.Resource{resource("Listener", "a", "1"), resource("Cluster", "a", "1"), resource("Cluster", "b", "3")})
	if v.Version() == other.Version() {
		t.Error("different content has one version")
	}
}

func TestViewRefusesUnknownTypes(t *testing.T) {
	defer func() {
		if message, _ := recover().(string); !strings.Contains(message, "resource x has the type unknown") {
			t.Errorf("got %q", message)
		}
	}()
	xds.NewView([]*envoy.Resource{{Type: "unknown", Name: "x", Version: "1"}})
}
