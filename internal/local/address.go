//go:build linux

package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"k8s.io/apimachinery/pkg/types"
)

// The ports that the runtime listens on, and those of every sidecar.
const (
	portXDS       = 15012
	portProxy     = 15001
	portRequest   = 15002
	firstUpstream = 20000
)

// addresses gives every pod a pair of loopback addresses out of one 127.x/16
// block, which nobody else on this machine uses at the same time.
type addresses struct {
	// block is the second byte of every address.
	block byte
	// listener holds the block's first address on the xDS port. It is what keeps
	// another runtime from taking the same block.
	listener net.Listener
	// pods are the numbers of the pairs that are held; next was never given away,
	// freed were, oldest first.
	pods  map[types.NamespacedName]int
	next  int
	freed []int
}

// pair is the two addresses of a pod: the application listens on one, its
// sidecar on the other, which is what the mesh sees.
type pair struct {
	app     netip.Addr
	sidecar netip.Addr
}

// The blocks to choose from. 127.0 is left to everybody else.
const (
	firstBlock = 64
	lastBlock  = 127
)

// claimAddresses takes the first block that no other runtime holds.
func claimAddresses() (*addresses, error) {
	for block := firstBlock; block <= lastBlock; block++ {
		l, err := net.Listen("tcp", netip.AddrPortFrom(blockAddress(byte(block), 1), portXDS).String())
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen on the loopback addresses 127.%d.0.0/16: %w", block, err)
		}
		return &addresses{block: byte(block), listener: l, pods: map[types.NamespacedName]int{}}, nil
	}
	return nil, fmt.Errorf("every block from 127.%d to 127.%d is held by another smi run: stop one of them", firstBlock, lastBlock)
}

func blockAddress(block byte, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, block, byte(n >> 8), byte(n)})
}

// of returns the pair of a pod, the same as long as the pod keeps it. Pairs that
// nobody had yet come first, so that whoever still knows a pod that is gone does
// not meet another one.
func (a *addresses) of(pod types.NamespacedName) (pair, error) {
	n, ok := a.pods[pod]
	if !ok {
		switch {
		case a.next < maxPods:
			n = a.next
			a.next++
		case len(a.freed) > 0:
			n, a.freed = a.freed[0], a.freed[1:]
		default:
			return pair{}, fmt.Errorf("pod %s does not run: %d pods do already, which is the most; lower the replicas of some workload", pod, maxPods)
		}
		a.pods[pod] = n
	}
	// The block's first addresses belong to the runtime itself.
	return pair{app: blockAddress(a.block, 256+2*n), sidecar: blockAddress(a.block, 257+2*n)}, nil
}

// maxPods keeps the pairs inside the block.
const maxPods = 1000

// release gives a pod's pair back.
func (a *addresses) release(pod types.NamespacedName) {
	if n, ok := a.pods[pod]; ok {
		delete(a.pods, pod)
		a.freed = append(a.freed, n)
	}
}
