package driver

import (
	"context"
	"log/slog"

	"github.com/envharness/envharness/discovery"
)

// Source reads one thing and follows its changes. Its methods are called one at a time.
type Source[T any] interface {
	// Read subscribes to changes and then reads the whole present state; it replaces an earlier
	// subscription. It ends within the engine's timeout.
	Read(ctx context.Context) (T, error)

	// Next blocks until the state has changed since the last Read or Next, and gives the newest, which is
	// delivered even if the reader sees no difference (SameInstances tells, where that costs little). It has no
	// time limit of its own, but notices within some seconds that the registry cannot be asked. An error
	// means that the subscription is broken or has a gap; Read follows. ErrGap says that nothing but
	// that is wrong.
	Next(ctx context.Context) (T, error)

	// Close ends the subscription.
	Close()
}

// Watching tells Watch about what it watches.
type Watching[T any] struct {
	Name  string            // of the service or value
	Log   *slog.Logger      //
	Stale func(T) T         // marks a copy as the last known
	Same  func(a, b T) bool // whether a reader sees no difference, after a Read that followed a gap
}

// Watch reads once, in the caller's time, and then follows the source in the group until ctx ends. It
// implements the contract of discovery.Registry.Watch.
func Watch[T any](ctx context.Context, group *Group, source Source[T], w Watching[T]) (<-chan T, error) {
	first, err := source.Read(ctx)
	if err != nil {
		source.Close()
		return nil, err
	}
	f := &follower[T]{source: source, Watching: w, newest: first, out: make(chan T, 1)}
	f.out <- first
	group.Go(ctx, f.run)
	return f.out, nil
}

type follower[T any] struct {
	source Source[T]
	Watching[T]
	newest T
	stale  bool
	out    chan T
}

func (f *follower[T]) run(ctx context.Context) {
	defer close(f.out)
	defer f.source.Close()
	var backoff discovery.Backoff
	step, reread := f.source.Next, false
	for ctx.Err() == nil {
		state, err := step(ctx)
		switch {
		case err == nil:
			f.fresh(state, reread)
			backoff.Reset()
			step, reread = f.source.Next, false
		case ctx.Err() != nil:
			return
		case IsGap(err):
			step, reread = f.source.Read, true
		default:
			f.outage(err)
			if backoff.Wait(ctx) != nil {
				return
			}
			step, reread = f.source.Read, true
		}
	}
}

func (f *follower[T]) fresh(state T, reread bool) {
	if f.stale {
		f.Log.Info("watching again", "name", f.Name)
	}
	same := reread && !f.stale && f.Same(f.newest, state)
	f.newest, f.stale = state, false
	if !same {
		deliver(f.out, state)
	}
}

func (f *follower[T]) outage(err error) {
	if f.stale {
		f.Log.Debug("cannot watch", "name", f.Name, "error", err)
		return
	}
	f.Log.Warn("cannot watch, the last known stays", "name", f.Name, "error", err)
	f.stale = true
	deliver(f.out, f.Stale(f.newest))
}

// deliver puts v into a channel of one place, in place of what was not read yet. Only one goroutine
// delivers to a channel.
func deliver[T any](out chan T, v T) {
	for {
		select {
		case out <- v:
			return
		default:
		}
		select {
		case <-out:
		default:
		}
	}
}

// WatchSnapshots is Watch for instances.
func WatchSnapshots(ctx context.Context, group *Group, source Source[discovery.Snapshot], service string, log *slog.Logger) (<-chan discovery.Snapshot, error) {
	return Watch(ctx, group, source, Watching[discovery.Snapshot]{
		Name: service,
		Log:  log,
		Stale: func(s discovery.Snapshot) discovery.Snapshot {
			s.Stale = true
			return s
		},
		Same: SameInstances,
	})
}

// WatchValues is Watch for a value.
func WatchValues(ctx context.Context, group *Group, source Source[discovery.Value], name string, log *slog.Logger) (<-chan discovery.Value, error) {
	return Watch(ctx, group, source, Watching[discovery.Value]{
		Name: name,
		Log:  log,
		Stale: func(v discovery.Value) discovery.Value {
			v.Stale = true
			return v
		},
		Same: func(a, b discovery.Value) bool { return a.Found == b.Found && string(a.Data) == string(b.Data) },
	})
}

// WatchCredentials is Watch for what a service's instances share. Of an outage it says nothing: the last
// known stay in force.
func WatchCredentials(ctx context.Context, group *Group, source Source[discovery.Credentials], service string, log *slog.Logger) (<-chan discovery.Credentials, error) {
	return Watch(ctx, group, source, Watching[discovery.Credentials]{
		Name:  service,
		Log:   log,
		Stale: func(c discovery.Credentials) discovery.Credentials { return c },
		Same:  func(a, b discovery.Credentials) bool { return a == b },
	})
}
