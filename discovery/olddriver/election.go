package driver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

// ErrNotLeading is what a leader's steps and writes end with when another leads, or nobody.
var ErrNotLeading = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

// Seat is the leadership for one name in an engine that knows no elections: a key that one process at a time
// holds for a TTL. Its methods are called one at a time.
type Seat interface {
	// Take takes it if nobody has it, or if this process has it by a call that had no answer; else the error
	// matches ErrConflict.
	Take(ctx context.Context) error

	// Vacant waits until nobody has it.
	Vacant(ctx context.Context) error

	// Prolong makes it last for a TTL from now, if it is still this process's; else the error matches
	// ErrConflict.
	Prolong(ctx context.Context) error

	// Resign gives it up, if it is this process's. It follows a Take that failed, too.
	Resign(ctx context.Context) error
}

// SeatWatcher is a Seat that can tell that it was lost before a renewal does. Watch returns when it was, or
// when ctx ends; it runs beside the other methods.
type SeatWatcher interface {
	Watch(ctx context.Context) (lost bool)
}

// Tenure is the time in which a process leads: what a discovery.Leadership has beside its writes.
type Tenure struct {
	seat  Seat
	ttl   time.Duration
	until time.Time // when the seat may be another's, unless it is prolonged

	life   context.Context // ends with Close
	end    context.CancelFunc
	done   chan struct{}
	resign func() error // does it once
}

// Campaign stands for a seat until it is this process's, and then keeps it in the group until that fails or the
// tenure is closed. While the registry is away it tries again; every other error is given as it is, and ctx's
// own when that has ended.
func Campaign(ctx context.Context, group *Group, seat Seat, name string, ttl time.Duration, log *slog.Logger) (*Tenure, error) {
	t := &Tenure{seat: seat, ttl: ttl, done: make(chan struct{})}
	t.life, t.end = context.WithCancel(context.Background())
	t.resign = sync.OnceValue(t.giveUp)
	var backoff discovery.Backoff
	for {
		asked := time.Now()
		err := seat.Take(ctx)
		if err == nil {
			t.until = asked.Add(ttl)
			group.Go(context.Background(), t.keep)
			return t, nil
		}
		if errors.Is(err, discovery.ErrConflict) { // there is a leader
			if err = seat.Vacant(ctx); err == nil {
				continue
			}
		}
		again := errors.Is(err, discovery.ErrUnavailable)
		if again && backoff.Wait(ctx) != nil || ctx.Err() != nil {
			again, err = false, ctx.Err()
		}
		if !again {
			t.end()
			_ = t.resign() // the last try may have been carried out
			return nil, err
		}
		log.Warn("cannot stand for election, trying again", "name", name, "error", err)
	}
}

// Done is closed when this process leads no more.
func (t *Tenure) Done() <-chan struct{} { return t.done }

// Close ends the tenure and resigns, at once if the registry can be reached.
func (t *Tenure) Close() error {
	t.end()
	<-t.done
	return t.resign()
}

func (t *Tenure) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	return t.seat.Resign(ctx)
}

// keep prolongs the tenure until the seat is lost, or given up.
func (t *Tenure) keep(ctx context.Context) {
	defer close(t.done)
	lost, stop := t.watch(ctx)
	defer stop()
	every := time.NewTicker(t.ttl / 3)
	defer every.Stop()
	for time.Now().Before(t.until) {
		select {
		case <-every.C:
		case <-lost:
		case <-t.life.Done():
			return
		case <-ctx.Done():
			_ = t.resign()
			return
		}
		asked := time.Now()
		limited, cancel := context.WithDeadline(ctx, t.until)
		err := t.seat.Prolong(limited)
		cancel()
		if err == nil {
			t.until = asked.Add(t.ttl)
		}
		if errors.Is(err, discovery.ErrConflict) || errors.Is(err, discovery.ErrDenied) {
			return
		}
	}
}

// watch makes lost receive once when the seat can tell that it was lost; stop ends the watch. A loss is looked
// into by Prolong.
func (t *Tenure) watch(ctx context.Context) (lost <-chan struct{}, stop func()) {
	watcher, can := t.seat.(SeatWatcher)
	if !can {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{}, 1)
	var watching sync.WaitGroup
	watching.Go(func() {
		if watcher.Watch(ctx) {
			told <- struct{}{}
		}
	})
	return told, func() { cancel(); watching.Wait() }
}
