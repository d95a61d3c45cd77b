package kube

import (
	"net/netip"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Ranges are those that a cluster gives addresses from, as far as it tells them. Each
// list is sorted.
type Ranges struct {
	// Pods are those of the nodes' pods.
	Pods []netip.Prefix
	// Services are those of ServiceCIDRs.
	Services []netip.Prefix
}

func (r Ranges) equal(o Ranges) bool {
	return slices.Equal(r.Pods, o.Pods) && slices.Equal(r.Services, o.Services)
}

// writtenRanges is what objects say, by kind and name.
type writtenRanges map[string]map[string][]string

// put takes over what an object says; nothing where it is gone.
func (w writtenRanges) put(k kind, name string, written []string) {
	if len(written) == 0 {
		delete(w[k.name], name)
		return
	}
	if w[k.name] == nil {
		w[k.name] = map[string][]string{}
	}
	w[k.name][name] = written
}

// read are the ranges that are written. What is no range is left out.
func (w writtenRanges) read() Ranges {
	return Ranges{
		Pods:     prefixes(w[reflect.TypeFor[corev1.Node]().Name()]),
		Services: prefixes(w[reflect.TypeFor[networkingv1.ServiceCIDR]().Name()]),
	}
}

func prefixes(byName map[string][]string) []netip.Prefix {
	var all []netip.Prefix
	for _, written := range byName {
		for _, text := range written {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				all = append(all, prefix.Masked())
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
