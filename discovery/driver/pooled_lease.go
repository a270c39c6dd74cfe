package driver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
)

// NewLease gives the lease of a registration whose record stands on a lease of the server that others share. It does
// nothing yet.
func (p *LeasePool[L]) NewLease(ttl time.Duration) Lease {
	return &pooledLease[L]{pool: p, ttl: ttl}
}

// pooledLease is one registration.
type pooledLease[L ServerLease] struct {
	pool    *LeasePool[L]
	ttl     time.Duration
	key     string
	shared  *sharedLease[L] // nil: none
	former  []L             // others, on which the record may still stand
	written *Item           // the record as it was written last; nil: not known
}

func (l *pooledLease[L]) Register(ctx context.Context, record Record, takeOver bool) (Grant, error) {
	if err := l.pool.registering.enter(ctx); err != nil {
		return Grant{}, err
	}
	defer l.pool.registering.leave()
	if err := l.acquire(ctx, record.Key); err != nil {
		return Grant{}, err
	}
	l.written = nil
	written, err := l.write(ctx, record, takeOver)
	if err != nil {
		if err = l.dropLost(err); errors.Is(err, ErrLost) {
			err = discovery.Mark(discovery.ErrUnavailable, err) // it is tried again, on another
		}
		return Grant{}, err
	}
	l.former, l.written = nil, &written
	return Grant{TTL: l.shared.lease.TTL()}, nil
}

// acquire makes sure that there is a lease for the record.
func (l *pooledLease[L]) acquire(ctx context.Context, key string) (err error) {
	if l.shared != nil && l.shared.carries(key) {
		return nil
	}
	if l.shared != nil {
		l.drop()
	}
	l.key = key
	l.shared, err = l.pool.acquire(ctx, key, l.ttl)
	return err
}

// write writes if there is no record or its own; with takeOver in any case.
func (l *pooledLease[L]) write(ctx context.Context, record Record, takeOver bool) (written Item, err error) {
	if takeOver {
		return l.shared.lease.Put(ctx, record.Key, record.Value)
	}
	was := Item{Key: record.Key, Gone: true}
	for {
		now, swapped, err := l.shared.lease.Swap(ctx, was, record.Value)
		if swapped || err != nil {
			return now, err
		}
		if !now.Gone && !l.owns(now) {
			return now, discovery.ErrConflict
		}
		was = now
	}
}

// dropLost forgets a lease that the server does not know any more.
func (l *pooledLease[L]) dropLost(err error) error {
	if errors.Is(err, ErrLost) {
		l.shared.lose()
		l.drop()
	}
	return err
}

func (l *pooledLease[L]) drop() {
	l.former = append(l.former, l.shared.lease)
	l.shared = nil
}

// owns reports whether a record is this registration's.
func (l *pooledLease[L]) owns(item Item) bool {
	carries := func(lease L) bool { return lease.Carries(item) }
	return l.shared != nil && carries(l.shared.lease) || slices.ContainsFunc(l.former, carries)
}

// own is nil if a record is this registration's: ErrLost when it is gone and ErrConflict when it is another's.
func (l *pooledLease[L]) own(item Item) error { return Own(!item.Gone, l.owns(item)) }

// Renew looks after the record, with those of others; the engine keeps the lease alive.
func (l *pooledLease[L]) Renew(ctx context.Context, record Record) error {
	if !l.shared.carries(record.Key) {
		l.drop()
		return ErrLost
	}
	there, err := l.shared.has(ctx, record.Key)
	switch {
	case errors.Is(err, ErrLost):
		return l.dropLost(err)
	case err != nil && !errors.Is(err, discovery.ErrDenied): // the record of another may be what is denied
		return err
	case there:
		return nil
	}
	item, err := l.pool.get(ctx, record.Key)
	if err != nil {
		return err
	}
	return l.own(item)
}

// Update writes over what was written last, in one step, and reads only what another has written since.
func (l *pooledLease[L]) Update(ctx context.Context, record Record) error {
	was := l.written
	if was == nil {
		item, err := l.pool.get(ctx, record.Key)
		if err == nil {
			err = l.own(item)
		}
		if err != nil {
			return err
		}
		was = &item
	}
	for {
		value, err := record.Over(was.Value)
		if err != nil {
			return err
		}
		l.written = nil
		now, swapped, err := l.shared.lease.Swap(ctx, *was, value)
		switch {
		case err != nil:
			return l.dropLost(err)
		case swapped:
			l.written = &now
			return nil
		}
		if err := l.own(now); err != nil {
			return err
		}
		was = &now
	}
}

// Detach leaves the record to its TTL.
func (l *pooledLease[L]) Detach() {
	if l.shared != nil {
		l.shared.detach(l.key)
	}
}

// Deregister removes the record if it is still on the lease.
func (l *pooledLease[L]) Deregister(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	err := l.shared.deregister(ctx, l.key)
	if err == nil {
		l.shared = nil
	}
	return err
}
