package certify

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds how many callers are remembered at a time.
const maxBuckets = 20_000

// limiter has a token bucket for each caller.
type limiter struct {
	every rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newLimiter(every time.Duration, burst int) *limiter {
	return &limiter{every: rate.Every(every), burst: burst, now: time.Now, buckets: map[string]*rate.Limiter{}}
}

// allow tells whether the caller may ask now.
func (l *limiter) allow(caller string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	bucket := l.buckets[caller]
	if bucket == nil {
		if len(l.buckets) >= maxBuckets && !l.forget(now) {
			return false
		}
		bucket = rate.NewLimiter(l.every, l.burst)
		l.buckets[caller] = bucket
	}
	return bucket.AllowN(now, 1)
}

// forget drops the buckets that are full again, which are like new ones, and
// tells whether there were any.
func (l *limiter) forget(now time.Time) bool {
	before := len(l.buckets)
	for caller, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, caller)
		}
	}
	return len(l.buckets) < before
}
