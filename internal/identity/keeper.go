package identity

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// firstRetry and lastRetry bound the back-off after a failed renewal.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
	// issueTimeout bounds one request to the source.
	issueTimeout = 30 * time.Second
)

// Keeper holds a current SVID. It makes a new private key for each, renews at
// two thirds of its life, and tries again with growing pauses when that fails;
// what it holds stays until something better has come. Time is that of package
// time, so a test runs it in a bubble of testing/synctest.
type Keeper struct {
	source CertificateSource
	logger *slog.Logger
	demand chan struct{}

	mu      sync.Mutex
	current *SVID
	lastErr error
	changed chan struct{}
}

// NewKeeper makes a keeper that asks the source; Run starts it. A nil logger
// logs nothing.
func NewKeeper(source CertificateSource, logger *slog.Logger) *Keeper {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{source: source, logger: logger, demand: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Current returns the SVID, nil before the first one came.
func (k *Keeper) Current() *SVID {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// State returns Current, and why the last attempt to renew it failed, nil where
// it did not.
func (k *Keeper) State() (*SVID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current, k.lastErr
}

// Changed returns a channel that is closed when the next SVID has come. Take it
// before Current, so that none is missed.
func (k *Keeper) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// Wait returns the SVID as soon as there is one. When the context ends first,
// the error says why none could be had.
func (k *Keeper) Wait(ctx context.Context) (*SVID, error) {
	for {
		changed := k.Changed()
		if s := k.Current(); s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.lastErr != nil {
				return nil, fmt.Errorf("no certificate: %w", k.lastErr)
			}
			return nil, fmt.Errorf("no certificate: %w", context.Cause(ctx))
		}
	}
}

// Renew asks for a new SVID now, as after a change of the roots. It does not
// wait for it.
func (k *Keeper) Renew() {
	select {
	case k.demand <- struct{}{}:
	default: // One is asked for already.
	}
}

// Follow renews at every change of the bundle until the context ends, and
// returns nil then. It is for who has the CA's own bundle at hand.
func (k *Keeper) Follow(ctx context.Context, bundle *Bundle) error {
	changed := bundle.Changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed = bundle.Changed()
			k.Renew()
		}
	}
}

// Run keeps the SVID current until the context ends, and returns nil then.
func (k *Keeper) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		var pause time.Duration
		svid, err := k.issue(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			pause = k.failed(err, retry)
			retry = min(2*retry, lastRetry)
		default:
			pause = k.succeeded(svid)
			retry = firstRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.demand:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (k *Keeper) issue(ctx context.Context) (*SVID, error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	key, csr, err := newRequest()
	if err != nil {
		return nil, err
	}
	chain, bundle, err := k.source.Certificate(ctx, csr)
	if err != nil {
		return nil, err
	}
	return newSVID(key, chain, bundle, time.Now())
}

// succeeded publishes an SVID and returns how long it serves: two thirds of its
// life, a little less at random so that pods which started together do not
// renew together.
func (k *Keeper) succeeded(svid *SVID) time.Duration {
	k.mu.Lock()
	k.current, k.lastErr = svid, nil
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
	k.logger.Debug("certificate renewed", "svid", svid)
	life := svid.ExpiresAt.Sub(svid.IssuedAt)
	return time.Duration(float64(life) * (2.0 / 3.0) * (1 - 0.05*rand.Float64())) //nolint:gosec // spreads load, protects nothing
}

// failed notes an error and returns how long to pause: the back-off, but short
// enough for several more attempts before the certificate ends.
func (k *Keeper) failed(err error, retry time.Duration) time.Duration {
	k.mu.Lock()
	k.lastErr = err
	held := k.current
	k.mu.Unlock()
	pause := retry
	attrs := []any{"error", err}
	if held != nil {
		attrs = append(attrs, "held", held)
		if left := time.Until(held.ExpiresAt); left > 0 {
			pause = max(firstRetry, min(pause, left/8))
		}
	}
	pause -= time.Duration(float64(pause) * 0.2 * rand.Float64()) //nolint:gosec // spreads load, protects nothing
	k.logger.Warn("certificate not renewed", append(attrs, "retry_in", pause)...)
	return pause
}
