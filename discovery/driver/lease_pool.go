package driver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// maxRecords is how many records stand on one lease of a server: when a lease runs out, a server removes all of
// them in one step, during which it answers nobody.
const maxRecords = 1000

// maxRegistering is how many registrations of a registry are written at once: with their lease all of them are lost.
const maxRegistering = 64

// ServerLease is a lease of a server which carries many records, and which the engine keeps alive. Its methods are
// single steps, which may be called by many goroutines.
type ServerLease interface {
	TTL() time.Duration

	// Lost gives a channel that is closed when the lease is lost, or is no longer kept alive.
	Lost() <-chan struct{}

	// Keys lists the records that stand on it; ErrLost when the server knows no such lease.
	Keys(ctx context.Context) ([]string, error)

	// Carries reports whether a record that was read stands on it.
	Carries(item Item) bool

	// Put writes a record on it, whatever stands at the key, and gives the record as Swap compares it. ErrLost when
	// the server knows no such lease.
	Put(ctx context.Context, key string, value []byte) (written Item, err error)

	// Swap is Put if what stands at the key still is as was; else it gives what stands there now.
	Swap(ctx context.Context, was Item, value []byte) (now Item, swapped bool, err error)

	// Remove deletes a record if it stands on it.
	Remove(ctx context.Context, key string) error

	// Revoke ends it with all that stands on it.
	Revoke(ctx context.Context) error

	// Detach stops keeping it alive, so it runs out.
	Detach()
}

// LeasePool lets registrations of the same TTL share leases of a server, so that what it takes to keep them alive
// grows with processes and not with instances.
type LeasePool[L ServerLease] struct {
	grant       func(ctx context.Context, ttl time.Duration) (L, error)
	get         func(ctx context.Context, key string) (Item, error)
	granting    turns
	registering turns

	lock   sync.Mutex // of all shared leases, too
	leases map[time.Duration][]*sharedLease[L]
}

// NewLeasePool makes a pool of the leases that grant asks a server for; get reads a record for a write that depends on
// it.
func NewLeasePool[L ServerLease](
	grant func(ctx context.Context, ttl time.Duration) (L, error), get func(ctx context.Context, key string) (Item, error),
) *LeasePool[L] {
	return &LeasePool[L]{
		grant:       grant,
		get:         get,
		granting:    make(turns, 1),
		registering: make(turns, maxRegistering),
		leases:      map[time.Duration][]*sharedLease[L]{},
	}
}

// sharedLease is a lease with all that stands on it. No key stands on it twice, so that who has written a record is
// known by its lease: two registrations of one ID have two.
type sharedLease[L ServerLease] struct {
	lease L
	pool  *LeasePool[L]

	// Of the pool's lock.
	records map[string]time.Time // the zero time; of one that was left, when it has to be gone
	live    int                  // registrations
	closed  bool                 // nothing more is to be written on it

	listing turns
	asked   time.Time
	listed  map[string]bool
}

// acquire gives a lease of ttl for the record of a registration, which gives it back by one of the lease's methods
// deregister and detach. It asks for another when none has room.
func (p *LeasePool[L]) acquire(ctx context.Context, key string, ttl time.Duration) (*sharedLease[L], error) {
	if s := p.join(key, ttl); s != nil {
		return s, nil
	}
	if err := p.granting.enter(ctx); err != nil {
		return nil, err
	}
	defer p.granting.leave()
	if s := p.join(key, ttl); s != nil {
		return s, nil
	}
	lease, err := p.grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	s := &sharedLease[L]{
		lease:   lease,
		pool:    p,
		records: map[string]time.Time{key: {}},
		live:    1,
		listing: make(turns, 1),
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.leases[ttl] = append(p.leases[ttl], s)
	return s, nil
}

// join takes a lease that has room; nil when there is none.
func (p *LeasePool[L]) join(key string, ttl time.Duration) *sharedLease[L] {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.leases[ttl] = slices.DeleteFunc(p.leases[ttl], (*sharedLease[L]).over)
	for _, s := range p.leases[ttl] {
		if _, taken := s.records[key]; taken || len(s.records) >= maxRecords {
			continue
		}
		s.records[key] = time.Time{}
		s.live++
		return s
	}
	return nil
}

// over reports whether nothing more is to be written on it.
func (s *sharedLease[L]) over() bool {
	select {
	case <-s.lease.Lost():
		return true
	default:
		return s.closed
	}
}

// carries reports whether the lease is there for the record of key.
func (s *sharedLease[L]) carries(key string) bool {
	s.pool.lock.Lock()
	defer s.pool.lock.Unlock()
	left, known := s.records[key]
	return known && left.IsZero() && !s.over()
}

// lose tells that the server knows no such lease.
func (s *sharedLease[L]) lose() {
	s.pool.lock.Lock()
	defer s.pool.lock.Unlock()
	s.closed = true
	s.lease.Detach()
}

// has reports whether a record stood on the lease at most a sixth of the TTL ago. One question answers that for all,
// and what nobody keeps any more is removed with it. ErrLost says that the lease is lost.
func (s *sharedLease[L]) has(ctx context.Context, key string) (bool, error) {
	if err := s.listing.enter(ctx); err != nil {
		return false, err
	}
	defer s.listing.leave()
	if s.asked.IsZero() || time.Since(s.asked) > s.lease.TTL()/6 {
		if err := s.list(ctx); err != nil {
			return false, err
		}
	}
	return s.listed[key], nil
}

func (s *sharedLease[L]) list(ctx context.Context) error {
	asked := time.Now()
	keys, err := s.lease.Keys(ctx)
	if err != nil {
		return err
	}
	s.asked, s.listed = asked, make(map[string]bool, len(keys))
	for _, key := range keys {
		s.listed[key] = true
	}
	for _, key := range s.abandoned(keys) {
		if s.lease.Remove(ctx, key) != nil {
			break // the next time
		}
		s.forget(key)
	}
	return nil
}

// abandoned gives the records that are to go, of those that stand there: left for their TTL, not removed when they
// were withdrawn, or written by a call that had no answer. They stay known until they are gone, so nobody takes the
// lease for such a key.
func (s *sharedLease[L]) abandoned(keys []string) []string {
	s.pool.lock.Lock()
	defer s.pool.lock.Unlock()
	next := time.Now().Add(s.lease.TTL() / 3)
	for key, left := range s.records {
		if !left.IsZero() && left.Before(next) && !s.listed[key] {
			delete(s.records, key)
		}
	}
	var abandoned []string
	for _, key := range keys {
		left, known := s.records[key]
		if known && (left.IsZero() || left.After(next)) {
			continue
		}
		if !known {
			s.records[key] = next
		}
		abandoned = append(abandoned, key)
	}
	return abandoned
}

// forget makes room for a key again.
func (s *sharedLease[L]) forget(key string) {
	s.pool.lock.Lock()
	defer s.pool.lock.Unlock()
	delete(s.records, key)
}

// deregister removes a record, and with the last one the lease. It tries until ctx ends, and may be called again after
// an error.
func (s *sharedLease[L]) deregister(ctx context.Context, key string) error {
	last, alone := s.part(key, time.Now())
	if last {
		defer s.lease.Detach()
	}
	err := discovery.Retry(ctx, func(ctx context.Context) error {
		if alone {
			if err := s.lease.Revoke(ctx); !errors.Is(err, discovery.ErrDenied) {
				return err
			} // another's record may have been left on it
		}
		return s.lease.Remove(ctx, key)
	})
	if err == nil {
		s.forget(key)
	}
	return err
}

// detach leaves a record to its TTL, or to who has taken it over.
func (s *sharedLease[L]) detach(key string) {
	if last, _ := s.part(key, time.Now().Add(s.lease.TTL())); last {
		s.lease.Detach()
	}
}

// part ends a registration whose record has to be gone at a time. Last says that there are no others, so the lease is
// not to be kept alive, and alone that it need not run out for records that were left.
func (s *sharedLease[L]) part(key string, gone time.Time) (last, alone bool) {
	s.pool.lock.Lock()
	defer s.pool.lock.Unlock()
	if left, known := s.records[key]; known && left.IsZero() {
		s.live--
	}
	s.records[key] = gone
	if s.live > 0 {
		return false, false
	}
	s.closed = true
	now := time.Now()
	for _, left := range s.records {
		if left.After(now) {
			return true, false
		}
	}
	return true, true
}

// turns are for so many at a time.
type turns chan struct{}

// enter waits for a turn, which leave ends.
func (t turns) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return discovery.Mark(discovery.ErrUnavailable, ctx.Err())
	}
}

func (t turns) leave() { <-t }
