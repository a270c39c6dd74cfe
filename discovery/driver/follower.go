package driver

import (
	"context"
	"errors"
	"sync"

	"github.com/envharness/envharness/discovery"
)

// errRefresh interrupts what waits, because somebody wants to know what is there now.
var errRefresh = errors.New("somebody asks for the present state")

// Follower follows a source through gaps and outages.
type Follower struct {
	source Source
	apply  func(Changes)
	outage func(error)
	over   chan struct{} // closed when Run has ended

	lock     sync.Mutex
	wanted   uint64        // how many reads were asked for
	done     uint64        // how many of them are done
	result   error         // of the last of them
	finished chan struct{} // closed at the next
	wake     func(error)   // interrupts what waits; nil: nothing does
}

// NewFollower makes a follower, which begins with Run. Both functions are called in Run's goroutine: apply with what
// has changed, outage with why the registry is unreachable, again at each try that fails. After an outage and after
// a gap the changes are whole.
func NewFollower(source Source, apply func(Changes), outage func(error)) *Follower {
	return &Follower{
		source:   source,
		apply:    apply,
		outage:   outage,
		over:     make(chan struct{}),
		wanted:   1,
		finished: make(chan struct{}),
	}
}

// Run follows the source until ctx ends, and closes it.
func (f *Follower) Run(ctx context.Context) {
	defer close(f.over)
	defer f.source.Close()
	var backoff discovery.Backoff
	gap := false // the last subscription broke by one, before it had any change
	for ctx.Err() == nil {
		notified, err := f.follow(ctx, backoff.Reset)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errRefresh):
			continue
		case IsGap(err) && (notified || !gap):
			gap = !notified
			continue
		case !IsGap(err):
			f.finish(f.number(), err)
			f.outage(err)
		}
		f.rest(ctx, &backoff)
	}
}

// follow reads all, and then takes over changes until the subscription breaks. It reports whether there were any.
func (f *Follower) follow(ctx context.Context, healthy func()) (notified bool, err error) {
	number := f.number()
	whole, err := f.source.Read(ctx)
	if err != nil {
		return false, err
	}
	healthy()
	f.apply(whole)
	f.finish(number, nil)
	for {
		changes, refreshed, err := f.next(ctx)
		if err != nil {
			return notified, err
		}
		f.apply(changes)
		if refreshed > 0 {
			f.finish(refreshed, nil)
		} else {
			notified = true
		}
	}
}

// next waits for changes, or for who wants to know what is there now; refreshed is the number of the read that this
// was then.
func (f *Follower) next(ctx context.Context) (changes Changes, refreshed uint64, err error) {
	waiting, stop := f.wait(ctx, false)
	changes, err = f.source.Next(waiting)
	interruption := context.Cause(waiting)
	stop()
	if err == nil || ctx.Err() != nil || interruption == nil {
		return changes, 0, err
	}
	refresher, can := f.source.(Refresher)
	if !can || interruption != errRefresh {
		return changes, 0, interruption
	}
	refreshed = f.number()
	changes, err = refresher.Refresh(ctx)
	return changes, refreshed, err
}

// wait gives a context that ends with an interruption, too; with rest only with errRefresh.
func (f *Follower) wait(ctx context.Context, rest bool) (waiting context.Context, stop func()) {
	f.lock.Lock()
	defer f.lock.Unlock()
	waiting, cancel := context.WithCancelCause(ctx)
	f.wake = func(why error) {
		if !rest || why == errRefresh {
			cancel(why)
		}
	}
	if f.wanted > f.done {
		cancel(errRefresh)
	}
	return waiting, func() {
		f.lock.Lock()
		defer f.lock.Unlock()
		f.wake = nil
		cancel(nil)
	}
}

// rest waits before another try, unless somebody asks.
func (f *Follower) rest(ctx context.Context, backoff *discovery.Backoff) {
	waiting, stop := f.wait(ctx, true)
	defer stop()
	_ = backoff.Wait(waiting)
}

// number is that of the read which begins now.
func (f *Follower) number() uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.wanted
}

func (f *Follower) finish(number uint64, result error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.done, f.result = number, result
	close(f.finished)
	f.finished = make(chan struct{})
}

// Disrupt tells a follower that waits for changes that the registry is unreachable.
func (f *Follower) Disrupt(why error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.wake != nil {
		f.wake(why)
	}
}

// Started waits for the first read and gives its error.
func (f *Follower) Started(ctx context.Context) error { return f.await(ctx, 1) }

// Refresh waits until all is applied that the registry held before the call.
func (f *Follower) Refresh(ctx context.Context) error {
	f.lock.Lock()
	f.wanted++
	number := f.wanted
	if f.wake != nil {
		f.wake(errRefresh)
	}
	f.lock.Unlock()
	return f.await(ctx, number)
}

// await waits for a read.
func (f *Follower) await(ctx context.Context, number uint64) error {
	for {
		f.lock.Lock()
		done, result, finished := f.done >= number, f.result, f.finished
		f.lock.Unlock()
		if done {
			return result
		}
		select {
		case <-finished:
		case <-f.over:
			return ErrClosed
		case <-ctx.Done():
			return discovery.Mark(discovery.ErrUnavailable, ctx.Err())
		}
	}
}
