// Package driver is what engines share: the loops that keep a registration alive and a watch going.
// An engine supplies the single steps, as a [Lease] and a [Source], and leaves to this package when
// they are taken, what is tried again, and what the user of the registry sees of it.
package driver

import (
	"context"
	"sync"
)

// Group is all that was opened from one registry. Its zero value is not ready: use NewGroup.
type Group struct {
	ctx  context.Context
	end  context.CancelFunc
	wait sync.WaitGroup

	lock   sync.Mutex // no Add once Wait may have begun
	closed bool
}

// NewGroup makes a group with nothing in it.
func NewGroup() *Group {
	g := &Group{}
	g.ctx, g.end = context.WithCancel(context.Background())
	return g
}

// Go runs f in a goroutine with a context that ends with ctx and with the group. After Close that
// context has ended already, and nobody waits for f.
func (g *Group) Go(ctx context.Context, f func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.ctx, cancel)
	run := func() {
		defer cancel()
		defer stop()
		f(ctx)
	}
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.closed {
		cancel()
		go run()
		return
	}
	g.wait.Go(run)
}

// Close ends everything and waits until it has.
func (g *Group) Close() {
	g.end()
	g.lock.Lock()
	g.closed = true
	g.lock.Unlock()
	g.wait.Wait()
}
