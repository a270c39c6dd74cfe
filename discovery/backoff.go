package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The bounds of Backoff.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// Backoff is how long to wait before trying again: 0.1 s, doubling to 10 s, each ±20 %. The zero
// Backoff is ready for use, by one goroutine.
type Backoff struct{ next time.Duration }

// Next gives the time to wait now and makes the following one longer.
func (b *Backoff) Next() time.Duration {
	d := max(b.next, minBackoff)
	b.next = min(2*d, maxBackoff)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// Reset starts from 0.1 s again.
func (b *Backoff) Reset() { b.next = 0 }

// Wait blocks for Next, or until ctx ends, whose error it then returns.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Retry calls try until its error is not ErrUnavailable, with back-off. When ctx ends it gives the last
// error.
func Retry(ctx context.Context, try func(context.Context) error) error {
	var backoff Backoff
	for {
		err := try(ctx)
		if !errors.Is(err, ErrUnavailable) || backoff.Wait(ctx) != nil {
			return err
		}
	}
}
