package envoy

import (
	"maps"

	"github.com/smi-project/smi/mesh"
)

// Epochs count, per destination account, port and source, how often something
// that was granted has been withdrawn. A new epoch renames the source's filter
// chain, and Envoy then drains that chain and no other (AC-17). Epochs never
// change: Bump returns new ones that share what did not change.
type Epochs struct {
	accounts map[mesh.Account]*accountEpochs
}

type accountEpochs struct {
	counts map[portSource]uint64
}

type portSource struct {
	port   uint16
	source mesh.Principal
}

// Of returns the epoch of a source at a port of the destination account.
func (e Epochs) Of(destination mesh.Account, port uint16, source mesh.Principal) uint64 {
	return e.accounts[destination].of(port, source)
}

// Bump returns the epochs after something was withdrawn from the source at a
// port of the destination account.
func (e Epochs) Bump(destination mesh.Account, port uint16, source mesh.Principal) Epochs {
	next := Epochs{accounts: maps.Clone(e.accounts)}
	if next.accounts == nil {
		next.accounts = map[mesh.Account]*accountEpochs{}
	}
	account := &accountEpochs{counts: map[portSource]uint64{}}
	if old := e.accounts[destination]; old != nil {
		maps.Copy(account.counts, old.counts)
	}
	account.counts[portSource{port, source}]++
	next.accounts[destination] = account
	return next
}

func (a *accountEpochs) of(port uint16, source mesh.Principal) uint64 {
	if a == nil {
		return 0
	}
	return a.counts[portSource{port, source}]
}

// ofBucket adds up the epochs of every source of a bucket, those that have lost
// their last grant included.
func (a *accountEpochs) ofBucket(port uint16, bucket string) uint64 {
	if a == nil {
		return 0
	}
	var sum uint64
	for k, n := range a.counts {
		if k.port == port && sourceBucket(k.source) == bucket {
			sum += n
		}
	}
	return sum
}
