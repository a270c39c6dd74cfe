package driver

import (
	"context"
	"time"

	"github.com/envharness/envharness/discovery"
)

// mostMargin bounds the time that an owner has for ending its work before another may have the lock.
const mostMargin = 2 * time.Second

// marginOf is that time for a TTL.
func marginOf(ttl time.Duration) time.Duration { return min(ttl/4, mostMargin) }

// Lock is that of discovery.Locker.
func (r *Registry) Lock(ctx context.Context, name string, ttl time.Duration) (discovery.Held, error) {
	return r.acquireLock(ctx, name, ttl, false)
}

// TryLock is that of discovery.Locker.
func (r *Registry) TryLock(ctx context.Context, name string, ttl time.Duration) (discovery.Held, error) {
	return r.acquireLock(ctx, name, ttl, true)
}

func (r *Registry) acquireLock(ctx context.Context, name string, ttl time.Duration, once bool) (discovery.Held, error) {
	const op = "lock"
	key, err := r.Layout.LockKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err == nil { // a registry that is unreachable at the beginning is no lock that is held by another
		_, err = r.backend.Get(ctx, key, false)
	}
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.group.ctx, cancel)()
	t, err := campaign(ctx, r.group, &Term{lock: r.backend.NewLock(key, ttl), margin: marginOf, kept: true, once: once}, name, r.Config.Log)
	if err != nil {
		return nil, r.Fail(op, name, err)
	}
	return held{t, r, name}, nil
}

// held is a lock as its owner sees it.
type held struct {
	*Term
	registry *Registry
	name     string
}

func (h held) Token() int64          { return h.grant.Token }
func (h held) Margin() time.Duration { return marginOf(h.grant.TTL) }

func (h held) Close() error { return h.registry.Fail("release lock", h.name, h.Term.Close()) }
