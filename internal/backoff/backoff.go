// Package backoff gives the delays before what failed is tried again.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Delay doubles from First to Most. It is for one goroutine.
type Delay struct {
	First, Most time.Duration // Most counts as First where it is less
	next        time.Duration
}

// Next gives the delay to wait now, spread, and makes the following one longer.
func (d *Delay) Next() time.Duration {
	now := max(d.next, d.First)
	d.next = min(2*now, max(d.Most, d.First))
	return Spread(now)
}

// Wait blocks for Next, or until ctx ends, whose error it then returns.
func (d *Delay) Wait(ctx context.Context) error { return Sleep(ctx, d.Next()) }

// Sleep blocks for a time, or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reset starts from First again.
func (d *Delay) Reset() { d.next = 0 }

// Grown tells whether Next has been called since Reset.
func (d *Delay) Grown() bool { return d.next > 0 }

// Spread changes a delay by up to 20 %, so that those who failed together do not come back together.
func Spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
