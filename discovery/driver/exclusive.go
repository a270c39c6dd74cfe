package driver

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/envharness/envharness/discovery"
)

// Space is what an engine keeps, for who has it alone. A key may have an owner: the registration or the leader that
// wrote it.
type Space interface {
	// Read gives what stands at a key and whose it is; "" is nobody's.
	Read(key string) (item Item, owner string, err error)

	// Write makes a key that lasts for ttl, or for ever when ttl is 0.
	Write(key string, value []byte, owner string, ttl time.Duration) error

	// Extend makes a key that is there last for ttl from now.
	Extend(key string, ttl time.Duration) error

	// Remove deletes a key that is there.
	Remove(key string) error

	// Changes counts what was written and removed.
	Changes() int64
}

// Exclusive is all single steps of an engine that can keep others out for some of them together: it calls f while
// nobody else reads or writes, and ends within the registry's timeout. Of it are made four methods of a [Store], and
// every Lease and Lock.
type Exclusive func(ctx context.Context, f func(Space) error) error

// Get is that of Store.
func (alone Exclusive) Get(ctx context.Context, key string, _ bool) (item Item, err error) {
	err = alone(ctx, func(s Space) (err error) {
		item, _, err = s.Read(key)
		return err
	})
	return item, err
}

// Put is that of Store.
func (alone Exclusive) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return alone(ctx, func(s Space) error { return s.Write(key, value, "", ttl) })
}

// Swap is that of Store.
func (alone Exclusive) Swap(ctx context.Context, was Item, value []byte) (swapped bool, err error) {
	err = alone(ctx, func(s Space) error {
		now, _, err := s.Read(was.Key)
		if err != nil || now.Gone != was.Gone || now.Version != was.Version {
			return err
		}
		swapped = true
		return s.Write(was.Key, value, "", 0)
	})
	return swapped && err == nil, err
}

// Delete is that of Store.
func (alone Exclusive) Delete(ctx context.Context, key string) (found bool, err error) {
	err = alone(ctx, func(s Space) (err error) {
		found, err = remove(s, key)
		return err
	})
	return found, err
}

// remove deletes a key, if it is there.
func remove(s Space, key string) (found bool, err error) {
	item, _, err := s.Read(key)
	if err != nil || item.Gone {
		return false, err
	}
	return true, s.Remove(key)
}

// NewLease is that of Backend.
func (alone Exclusive) NewLease(_ discovery.Instance, ttl time.Duration) Lease {
	return &owned{alone: alone, owner: rand.Text(), ttl: ttl}
}

// NewLock gives the lock of an election whose key hub follows.
func (alone Exclusive) NewLock(hub *Hub, key string, ttl time.Duration) Lock {
	return &ownedLock{owned{alone, rand.Text(), ttl, key}, hub}
}

// owned is a lease whose record has its owner.
type owned struct {
	alone Exclusive
	owner string
	ttl   time.Duration
	key   string
}

// do calls f with what stands at the key: whose is ErrLost when there is nothing, ErrConflict when it is another's.
func (l *owned) do(ctx context.Context, f func(s Space, present Item, whose error) error) error {
	return l.alone(ctx, func(s Space) error {
		present, owner, err := s.Read(l.key)
		if err != nil {
			return err
		}
		return f(s, present, Own(!present.Gone, owner == l.owner))
	})
}

func (l *owned) Register(ctx context.Context, record Record, takeOver bool) (Grant, error) {
	l.key = record.Key
	return Grant{TTL: l.ttl}, l.do(ctx, func(s Space, _ Item, whose error) error {
		if whose == discovery.ErrConflict && !takeOver {
			return whose
		}
		return s.Write(l.key, record.Value, l.owner, l.ttl)
	})
}

func (l *owned) Renew(ctx context.Context, _ Record) error {
	return l.do(ctx, func(s Space, _ Item, whose error) error {
		if whose != nil {
			return whose
		}
		return s.Extend(l.key, l.ttl)
	})
}

func (l *owned) Update(ctx context.Context, record Record) error {
	return l.do(ctx, func(s Space, present Item, whose error) error {
		if whose != nil {
			return whose
		}
		value, err := record.Over(present.Value)
		if err != nil {
			return err
		}
		return s.Write(l.key, value, l.owner, l.ttl)
	})
}

func (l *owned) Deregister(ctx context.Context) error {
	return l.do(ctx, func(s Space, _ Item, whose error) error {
		if whose != nil {
			return nil
		}
		return s.Remove(l.key)
	})
}

// ownedLock is a key that the leader owns.
type ownedLock struct {
	owned
	hub *Hub
}

func (l *ownedLock) Acquire(ctx context.Context) (grant Grant, err error) {
	grant.TTL = l.ttl
	err = l.do(ctx, func(s Space, _ Item, whose error) error {
		if whose == discovery.ErrConflict {
			return whose
		}
		err := s.Write(l.key, nil, l.owner, l.ttl)
		grant.Token = s.Changes()
		return err
	})
	return grant, err
}

func (l *ownedLock) WaitReleased(ctx context.Context) error {
	return l.hub.Await(ctx, l.key, func(item Item) bool { return item.Gone })
}

func (l *ownedLock) Renew(ctx context.Context) error {
	return l.fenced(ctx, func(s Space) error { return s.Extend(l.key, l.ttl) })
}

func (l *ownedLock) Release(ctx context.Context) error { return l.Deregister(ctx) }

func (l *ownedLock) Put(ctx context.Context, key string, value []byte) error {
	return l.fenced(ctx, func(s Space) error { return s.Write(key, value, "", 0) })
}

func (l *ownedLock) Delete(ctx context.Context, key string) error {
	return l.fenced(ctx, func(s Space) error {
		_, err := remove(s, key)
		return err
	})
}

// fenced calls f if this process leads. Nobody else can lead before f is done.
func (l *ownedLock) fenced(ctx context.Context, f func(Space) error) error {
	return l.do(ctx, func(s Space, _ Item, whose error) error {
		if whose != nil {
			return ErrNotLeading
		}
		return f(s)
	})
}
