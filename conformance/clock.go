package conformance

import (
	"context"
	"fmt"
	"time"
)

// clock ends a case that has taken as long as it may. It can be stopped for the
// time in which the case waits for others. One goroutine uses it.
type clock struct {
	cancel  context.CancelCauseFunc
	bound   time.Duration
	left    time.Duration
	resumed time.Time
	timer   *time.Timer // nil while the clock is stopped
}

// startClock returns a context that ends when the bound has passed, and its clock.
func startClock(ctx context.Context, bound time.Duration) (context.Context, *clock) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{cancel: cancel, bound: bound, left: bound}
	c.resume()
	return ctx, c
}

// pause stops the clock, unless it is stopped already.
func (c *clock) pause() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
		c.left -= time.Since(c.resumed)
	}
}

// resume lets the clock go on, unless it does.
func (c *clock) resume() {
	if c.timer == nil {
		c.resumed = time.Now()
		c.timer = time.AfterFunc(c.left, func() { c.cancel(&tooLong{c.bound}) })
	}
}

// end stops the clock for good, and ends its context.
func (c *clock) end() {
	c.pause()
	c.cancel(nil)
}

// tooLong is why the context of a case has ended that took its whole time.
type tooLong struct{ bound time.Duration }

func (e *tooLong) Error() string {
	return fmt.Sprintf("the case took longer than %s, its waiting for other cases left out", e.bound)
}
