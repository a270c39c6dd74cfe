package driver

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery"
)

// Space is what an engine keeps, for who has it alone. A key may have an owner: the registration or the leader that
// wrote it.
type Space interface {
	// Read gives what stands at a key and whose it is; "" is nobody's.
	Read(key string) (item Item, owner string, err error)

	// List gives what stands at a key, or at all below one that ends with a slash.
	List(key string) (Changes, error)

	// Write makes a key that lasts for ttl, or for ever when ttl is 0.
	Write(key string, value []byte, owner string, ttl time.Duration) error

	// Extend makes a key that is there last for ttl from now.
	Extend(key string, ttl time.Duration) error

	// Remove deletes a key that is there.
	Remove(key string) error

	// Changes counts what was written and removed.
	Changes() int64

	// Wait gives what blocks until something may have changed since now. That is called by who has the space no more.
	Wait() func(context.Context) error
}

// Exclusive is all single steps of an engine that can keep others out for some of them together: it calls f while
// nobody else reads or writes, and ends within the registry's timeout. Of it are made a [Store], and every Lease and Lock
// of a [Backend].
type Exclusive func(ctx context.Context, f func(Space) error) error

// Get is that of Store.
func (alone Exclusive) Get(ctx context.Context, key string, _ bool) (item Item, err error) {
	err = alone(ctx, func(s Space) (err error) {
		item, _, err = s.Read(key)
		return err
	})
	return item, err
}

// List is that of Store.
func (alone Exclusive) List(ctx context.Context, prefix string) (Changes, error) {
	c, _, err := alone.look(ctx, prefix)
	return c, err
}

// look reads all that stands at a place, and gives what blocks until something may have changed since.
func (alone Exclusive) look(ctx context.Context, key string) (c Changes, wait func(context.Context) error, err error) {
	err = alone(ctx, func(s Space) (err error) {
		c, err = s.List(key)
		if strings.HasSuffix(key, "/") {
			c.Items = slices.DeleteFunc(c.Items, func(item Item) bool { return item.Gone }) // just now, perhaps
		}
		c.Whole, c.Revision = true, strconv.FormatInt(s.Changes(), 10)
		wait = s.Wait()
		return err
	})
	return c, wait, err
}

// Follow is that of Store.
func (alone Exclusive) Follow(key string) Source {
	return LookAgain(func(ctx context.Context) (Changes, func(context.Context) error, error) { return alone.look(ctx, key) })
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

// MayWrite is that of WriteChecker: who may keep others out may write.
func (alone Exclusive) MayWrite(ctx context.Context, _ string) error {
	return alone(ctx, func(Space) error { return nil })
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

// NewLock is that of Backend.
func (alone Exclusive) NewLock(key string, ttl time.Duration) Lock {
	return &ownedLock{owned{alone, rand.Text(), ttl, key}}
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
type ownedLock struct{ owned }

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
	for {
		c, wait, err := l.alone.look(ctx, l.key)
		if err != nil || len(c.Items) == 0 || c.Items[0].Gone {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
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
