package rootkeeper

import (
	"cmp"
	"crypto/x509"
	"time"

	"github.com/smi-project/smi/internal/identity"
)

// facts are what the next record depends on, besides the last one.
type facts struct {
	config identity.Config
	// given is the user's CA; nil where the mesh keeps its own.
	given *given
	// request names a rotation that is asked for; it counts once.
	request string
	// settled tells that the phase has reached everybody.
	settled bool
	now     time.Time
}

// renewBefore is how long before its root ends that the mesh makes another one
// by itself, as a part of the root's life.
const renewBefore = 5

// advance returns the record after this one, which is this one where nothing is
// to be done. A nil record is one that does not exist yet.
func (r *record) advance(f *facts) (*record, error) {
	switch {
	case r == nil:
		return first(f)
	case f.given != nil && (!r.Given || !within(f.given.roots, r.roots)):
		return r.trust(f, nil, f.given.roots), nil
	case f.given == nil && r.Given:
		return r.renew(f)
	}
	switch r.Phase {
	case Stable:
		return r.leaveStable(f)
	case Trusting:
		if f.settled {
			return r.sign(f), nil
		}
	case Signing:
		switch {
		case f.given != nil && !f.given.root().Equal(r.roots[0]):
			return r.sign(f), nil // The user took another one that is trusted, too.
		case f.settled:
			return r.remove(f), nil
		}
	case Removing:
		if f.settled {
			next := *r
			next.Phase, next.Since, next.Longest.Duration = Stable, f.now, f.config.TTL
			return &next, nil
		}
	}
	return r, nil
}

func first(f *facts) (*record, error) {
	r := &record{state: state{Phase: Stable, Epoch: 1, Since: f.now, Request: f.request}}
	r.Longest.Duration = f.config.TTL
	if f.given != nil {
		r.Given, r.roots = true, f.given.roots
		return r, nil
	}
	made, err := newPair(f.config)
	if err != nil {
		return nil, err
	}
	r.own, r.roots = made, []*x509.Certificate{made.root()}
	return r, nil
}

// leaveStable begins a change of roots where there is a reason.
func (r *record) leaveStable(f *facts) (*record, error) {
	if f.given != nil {
		if len(r.roots) > len(f.given.roots) || !f.given.root().Equal(r.roots[0]) {
			// Everything that is wanted is trusted. Another one signs, or something else
			// is trusted as well: see that nobody needs that any more.
			return r.sign(f), nil
		}
		return r, nil
	}
	// Where nobody asks, as after the loss of what held the question, nothing is new.
	asked := f.request != "" && f.request != r.Request
	if r.own != nil && !asked && !ending(r.own.root(), f.now) {
		return r, nil
	}
	return r.renew(f)
}

// renew begins the change to another root of the mesh's own.
func (r *record) renew(f *facts) (*record, error) {
	made, err := newPair(f.config)
	if err != nil {
		return nil, err
	}
	return r.trust(f, made, []*x509.Certificate{made.root()}), nil
}

func ending(root *x509.Certificate, now time.Time) bool {
	return root.NotAfter.Sub(now) < root.NotAfter.Sub(root.NotBefore)/renewBefore
}

// begin returns a copy in another phase.
func (r *record) begin(phase Phase, f *facts) *record {
	next := *r
	next.Phase, next.Since = phase, f.now
	next.Epoch++
	next.Longest.Duration = max(r.Longest.Duration, f.config.TTL)
	return &next
}

// trust adds roots to those that are trusted.
func (r *record) trust(f *facts, made *pair, roots []*x509.Certificate) *record {
	next := r.begin(Trusting, f)
	next.next, next.Request, next.Given = made, cmp.Or(f.request, r.Request), f.given != nil
	next.roots = union(r.roots, roots...)
	return next
}

// sign lets the new root sign. The private key of the old one is forgotten.
func (r *record) sign(f *facts) *record {
	next := r.begin(Signing, f)
	next.next = nil
	switch {
	case f.given != nil:
		next.own = nil
		next.roots = union(f.given.roots, r.roots...)
	case r.next != nil:
		next.own = r.next
		next.roots = union([]*x509.Certificate{r.next.root()}, r.roots...)
	}
	return next
}

// remove leaves the roots that are wanted.
func (r *record) remove(f *facts) *record {
	next := r.begin(Removing, f)
	if f.given != nil {
		next.roots = f.given.roots
	} else if r.own != nil {
		next.roots = []*x509.Certificate{r.own.root()}
	}
	return next
}

// signer returns what a replica signs with: held is what it does sign with, nil
// where it does not yet. It is nil where nothing can be signed that would be
// trusted.
func (r *record) signer(user *given, held *pair) *pair {
	candidates := []*pair{r.own}
	if user != nil {
		if held != nil && held.root().Equal(user.root()) {
			held = user.pair // An intermediate was renewed.
		}
		candidates = []*pair{user.pair, held}
		if r.Phase == Trusting {
			// Whoever is trusted by everybody already; of the user's CA before this
			// one a replica knows as long as it runs.
			candidates = []*pair{r.own, held, user.pair}
		}
	} else if r.own == nil {
		candidates = []*pair{held, r.next}
	}
	for _, p := range candidates {
		if p != nil && contains(r.roots, p.root()) {
			return p
		}
	}
	return nil
}
