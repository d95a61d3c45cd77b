package sidecar_test

import (
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/internal/sidecar"
)

func redirected(args ...string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{
		{Name: "application", Args: []string{"--exclude-inbound-ports=1"}}, {Name: sidecar.RedirectContainer, Args: args}, {Name: sidecar.Container, Args: []string{"agent"}},
	}}}
}

// TestRedirectionOf reads what the injector writes.
func TestRedirectionOf(t *testing.T) {
	for _, want := range []sidecar.Redirection{
		{},
		{DropUDP: true},
		{
			ExcludeInbound: []uint16{22, 9443}, ExcludeOutbound: []uint16{5432}, DropUDP: true,
			ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fd00::/8")},
		},
	} {
		got, known := sidecar.RedirectionOf(redirected(append(want.Args(), "--of-a-later-release=yes")...))
		if !known || !reflect.DeepEqual(got, want) {
			t.Errorf("%v was read as %+v (%t)", want.Args(), got, known)
		}
	}
}

// TestRedirectionNotKnown has nothing excluded where that cannot be read.
func TestRedirectionNotKnown(t *testing.T) {
	many := make([]string, sidecar.MaxExclusions+1)
	for i := range many {
		many[i] = strconv.Itoa(i + 1)
	}
	for name, pod := range map[string]*corev1.Pod{
		"no init container": {Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: sidecar.RedirectContainer, Args: []string{"--exclude-inbound-ports=22"}}}}},
		"no port":           redirected("redirect", "--exclude-inbound-ports=22,any"),
		"no network":        redirected("redirect", "--exclude-inbound-ports=22", "--exclude-cidrs=10.0.0.0"),
		"too many":          redirected("redirect", "--exclude-inbound-ports="+strings.Join(many, ",")),
	} {
		if got, known := sidecar.RedirectionOf(pod); known || !reflect.DeepEqual(got, sidecar.Redirection{}) {
			t.Errorf("%s: %+v (%t)", name, got, known)
		}
	}
}
