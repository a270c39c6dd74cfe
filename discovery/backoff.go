package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/envharness/envharness/internal/backoff"
)

// The bounds of Backoff.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// Backoff is how long to wait before trying again: 0.1 s, doubling to 10 s, each ±20 %. The zero
// Backoff is ready for use, by one goroutine.
type Backoff struct{ delay backoff.Delay }

// Next gives the time to wait now and makes the following one longer.
func (b *Backoff) Next() time.Duration { return b.bounded().Next() }

// Reset starts from 0.1 s again.
func (b *Backoff) Reset() { b.delay.Reset() }

// Wait blocks for Next, or until ctx ends, whose error it then returns.
func (b *Backoff) Wait(ctx context.Context) error { return b.bounded().Wait(ctx) }

func (b *Backoff) bounded() *backoff.Delay {
	b.delay.First, b.delay.Most = minBackoff, maxBackoff
	return &b.delay
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
