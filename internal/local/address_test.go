//go:build linux

package local

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestEveryRuntimeHasABlockOfItsOwn(t *testing.T) {
	a, err := claimAddresses()
	if err != nil {
		t.Fatal(err)
	}
	b, err := claimAddresses()
	if err != nil {
		t.Fatal(err)
	}
	defer b.listener.Close()
	if a.block == b.block {
		t.Fatalf("both have 127.%d", a.block)
	}
	if err := a.listener.Close(); err != nil {
		t.Fatal(err)
	}
	// What is given back can be listened on again at once.
	l, err := net.Listen("tcp", netip.AddrPortFrom(blockAddress(a.block, 1), portXDS).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestPairs(t *testing.T) {
	a := &addresses{block: 64, pods: map[types.NamespacedName]int{}}
	of := func(name string) pair {
		t.Helper()
		p, err := a.of(types.NamespacedName{Namespace: "shop", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := of("a"), of("b")
	if first.app.String() != "127.64.1.0" || first.sidecar.String() != "127.64.1.1" || second.app.String() != "127.64.1.2" {
		t.Errorf("the first pairs are %v and %v", first, second)
	}
	if of("a") != first {
		t.Error("a pod's pair changes while it has it")
	}
	a.release(types.NamespacedName{Namespace: "shop", Name: "a"})
	a.release(types.NamespacedName{Namespace: "shop", Name: "nobody"})
	if third := of("c"); third == first {
		t.Error("a pair is used again though there are others")
	}
	for i := range maxPods - 3 {
		of(strings.Repeat("x", i+1))
	}
	if reused := of("d"); reused != first {
		t.Errorf("the last pod got %v, want the pair that was released, %v", reused, first)
	}
	_, err := a.of(types.NamespacedName{Namespace: "shop", Name: "e"})
	if err == nil || !strings.Contains(err.Error(), "pod shop/e does not run: 1000 pods do already") {
		t.Errorf("one too many: %v", err)
	}
}
