package driver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// releaseTimeout bounds a release, whose caller may be a process that was told to end.
const releaseTimeout = 2 * time.Second

// Lock is what one process at a time holds, for a TTL: who holds it leads. Its methods but Put and Delete are called
// one at a time, and end within the registry's timeout, but for WaitReleased.
type Lock interface {
	// Acquire takes it if nobody has it, or if this process has it by a call that had no answer; else the error
	// matches ErrConflict.
	Acquire(ctx context.Context) (Grant, error)

	// WaitReleased blocks until it is worth trying to Acquire again.
	WaitReleased(ctx context.Context) error

	// Renew makes it last for a TTL from now, if it is still this process's; else the error matches ErrConflict.
	Renew(ctx context.Context) error

	// Release gives it up, if it is this process's. It follows an Acquire that failed, too.
	Release(ctx context.Context) error

	// Put writes a key if this process has the lock at that moment, else ErrConflict.
	Put(ctx context.Context, key string, value []byte) error

	// Delete removes a key, as Put writes it. That there is none is no error.
	Delete(ctx context.Context, key string) error
}

// Campaign is that of discovery.Elector.
func (r *Registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.Layout.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	var value string
	if err == nil {
		value, err = r.Layout.ValueKey(name)
	}
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.group.ctx, cancel)() // nobody is to lead who can do nothing
	t, err := Campaign(ctx, r.group, r.backend.NewLock(key, ttl), name, r.Config.Log)
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	return leadership{Term: t, registry: r, name: name, key: value}, nil
}

// leadership writes the value during a term.
type leadership struct {
	*Term
	registry  *Registry
	name, key string
}

func (l leadership) Put(ctx context.Context, value []byte) error {
	err := discovery.ValidValue(l.name, value)
	if err == nil {
		err = l.lock.Put(ctx, l.key, value)
	}
	return l.registry.Fail("write, as its leader, value", l.name, err)
}

func (l leadership) Delete(ctx context.Context) error {
	return l.registry.Fail("delete, as its leader, value", l.name, l.lock.Delete(ctx, l.key))
}

func (l leadership) Close() error {
	return l.registry.Fail("release the lead of", l.name, l.Term.Close())
}

// renewalRest is the most that lies between a renewal that failed and the next try.
const renewalRest = time.Second

// Term is the time in which a process holds a lock.
type Term struct {
	lock   Lock
	grant  Grant
	until  time.Time                         // when the lock may be another's, unless it is renewed
	margin func(time.Duration) time.Duration // by how much Done is closed before that; nil: 0
	kept   bool                              // it is released by Close alone
	once   bool                              // it is not waited for
	lost   <-chan struct{}                   // nil: the lock does not notice

	life    context.Context // ends with Close
	stop    context.CancelFunc
	done    chan struct{}
	release func() error // does it once
}

// Campaign stands for a lock until this process has it, and then keeps it in the group until that fails or the
// term is closed. While the registry is unreachable it tries again; every other error is given as it is, and ctx's
// own when that has ended.
func Campaign(ctx context.Context, group *Group, lock Lock, name string, log *slog.Logger) (*Term, error) {
	return campaign(ctx, group, &Term{lock: lock}, name, log)
}

func campaign(ctx context.Context, group *Group, t *Term, name string, log *slog.Logger) (*Term, error) {
	lock := t.lock
	t.done = make(chan struct{})
	if notifier, can := lock.(LossNotifier); can {
		t.lost = notifier.Lost()
	}
	t.life, t.stop = context.WithCancel(context.Background())
	t.release = sync.OnceValue(t.giveUp)
	var backoff discovery.Backoff
	for {
		asked := time.Now()
		grant, err := lock.Acquire(ctx)
		if err == nil && group.ctx.Err() != nil {
			err = ErrClosed
		} else if err == nil {
			err = ctx.Err() // who does not want it any more
		}
		if err == nil {
			t.grant, t.until = grant, asked.Add(grant.TTL)
			group.Go(context.Background(), t.retain)
			return t, nil
		}
		if errors.Is(err, discovery.ErrConflict) && !t.once { // there is a leader
			if err = lock.WaitReleased(ctx); err == nil {
				backoff.Reset()
				continue
			}
		}
		again := errors.Is(err, discovery.ErrUnavailable) && group.ctx.Err() == nil
		if again && backoff.Wait(ctx) != nil || ctx.Err() != nil {
			again, err = false, ctx.Err()
		}
		if !again {
			t.stop()
			_ = t.release() // the last try may have been carried out
			return nil, err
		}
		log.Warn("cannot ask for the lock, trying again", "name", name, "error", err)
	}
}

// Done is closed when this process leads no more.
func (t *Term) Done() <-chan struct{} { return t.done }

// Close ends the term and releases the lock, at once if the registry can be reached.
func (t *Term) Close() error {
	t.stop()
	<-t.done
	return t.release()
}

func (t *Term) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	return t.lock.Release(ctx)
}

// retain renews the lock until it is lost, or given up.
func (t *Term) retain(ctx context.Context) {
	defer func() {
		close(t.done)
		if t.life.Err() == nil && !t.kept { // who has lost it stands in nobody's way
			_ = t.release()
		}
	}()
	every := time.NewTicker(t.grant.every())
	defer every.Stop()
	last := time.NewTimer(time.Until(t.end()))
	defer last.Stop()
	for {
		select {
		case <-every.C:
		case <-t.lost:
		case <-last.C:
			return
		case <-t.life.Done():
			return
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		err := t.renew(ctx)
		if err == nil {
			t.until = asked.Add(t.grant.TTL)
			last.Reset(time.Until(t.end()))
			every.Reset(t.grant.every())
		} else {
			every.Reset(min(t.grant.every(), renewalRest))
		}
		if IsAny(err, discovery.ErrConflict, discovery.ErrDenied) {
			return
		}
	}
}

// renew tries once, until the lock may be another's or the term is closed.
func (t *Term) renew(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, t.end())
	defer cancel()
	defer context.AfterFunc(t.life, cancel)()
	return t.lock.Renew(ctx)
}

// end is when the term is over, unless it is renewed.
func (t *Term) end() time.Time {
	if t.margin == nil {
		return t.until
	}
	return t.until.Add(-t.margin(t.grant.TTL))
}
