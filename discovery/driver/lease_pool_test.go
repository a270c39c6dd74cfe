package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// fakeServer grants leases, and is asked for what stands on them.
type fakeServer struct {
	lock   sync.Mutex
	err    error // of every step but those of a lease that was told another
	leases []*fakeServerLease
	items  map[string]Item // by key; their version is the number of the write and of the lease
	lists  int
	gets   int
}

type fakeServerLease struct {
	server  *fakeServer
	number  int64
	lost    chan struct{}
	end     func()
	records map[string]bool
	gone    bool // the server knows it no more
	denies  error
}

func newFakePool() (*fakeServer, *LeasePool[*fakeServerLease]) {
	s := &fakeServer{items: map[string]Item{}}
	return s, NewLeasePool(s.grant, s.get)
}

func (s *fakeServer) get(_ context.Context, key string) (item Item, err error) {
	err = s.step(func() {
		s.gets++
		item = s.item(key)
	})
	return item, err
}

// item gives what stands at a key.
func (s *fakeServer) item(key string) Item {
	if item, there := s.items[key]; there {
		return item
	}
	return Item{Key: key, Gone: true}
}

func (s *fakeServer) step(do func()) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.err == nil {
		do()
	}
	return s.err
}

func (s *fakeServer) grant(context.Context, time.Duration) (l *fakeServerLease, err error) {
	time.Sleep(time.Millisecond)
	err = s.step(func() {
		l = &fakeServerLease{server: s, number: int64(len(s.leases)), lost: make(chan struct{}), records: map[string]bool{}}
		l.end = sync.OnceFunc(func() { close(l.lost) })
		s.leases = append(s.leases, l)
	})
	return l, err
}

// put writes a record, whatever the pool thinks of it.
func (l *fakeServerLease) put(key string) {
	l.server.lock.Lock()
	defer l.server.lock.Unlock()
	l.write(key, nil)
}

func (l *fakeServerLease) write(key string, value []byte) Item {
	for _, other := range l.server.leases {
		delete(other.records, key)
	}
	l.records[key] = true
	item := Item{Key: key, Value: value, Version: Version{l.server.item(key).Version[0] + 1, l.number}}
	l.server.items[key] = item
	return item
}

// erase removes a record.
func (l *fakeServerLease) erase(key string) {
	delete(l.records, key)
	delete(l.server.items, key)
}

// stands gives what stands on it.
func (l *fakeServerLease) stands() []string {
	l.server.lock.Lock()
	defer l.server.lock.Unlock()
	return slices.Sorted(maps.Keys(l.records))
}

func (l *fakeServerLease) TTL() time.Duration    { return 9 * time.Second }
func (l *fakeServerLease) Lost() <-chan struct{} { return l.lost }
func (l *fakeServerLease) Detach()               { l.end() }

func (l *fakeServerLease) isKept() bool {
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}

func (l *fakeServerLease) Keys(context.Context) (keys []string, err error) {
	err = l.server.step(func() {
		l.server.lists++
		keys = slices.Collect(maps.Keys(l.records))
	})
	if l.gone {
		err = ErrLost
	}
	return keys, err
}

func (l *fakeServerLease) Carries(item Item) bool { return !item.Gone && item.Version[1] == l.number }

func (l *fakeServerLease) Put(_ context.Context, key string, value []byte) (written Item, err error) {
	if l.gone {
		return Item{}, ErrLost
	}
	err = l.server.step(func() { written = l.write(key, value) })
	return written, err
}

func (l *fakeServerLease) Swap(_ context.Context, was Item, value []byte) (now Item, swapped bool, err error) {
	if l.gone {
		return Item{}, false, ErrLost
	}
	err = l.server.step(func() {
		now = l.server.item(was.Key)
		if swapped = now.Version == was.Version; swapped {
			now = l.write(was.Key, value)
		}
	})
	return now, swapped, err
}

func (l *fakeServerLease) Remove(_ context.Context, key string) error {
	return l.server.step(func() {
		if l.records[key] {
			l.erase(key)
		}
	})
}

func (l *fakeServerLease) Revoke(context.Context) error {
	if l.denies != nil {
		return l.denies
	}
	return l.server.step(l.expire)
}

// expire takes all that stands on it along.
func (l *fakeServerLease) expire() {
	for key := range l.records {
		l.erase(key)
	}
	l.gone = true
}

type fakeShared = *sharedLease[*fakeServerLease]

// put takes a lease for a key and writes the record.
func put(t *testing.T, p *LeasePool[*fakeServerLease], key string) fakeShared {
	t.Helper()
	s, err := p.acquire(t.Context(), key, 9*time.Second)
	require.NoError(t, err)
	require.True(t, s.carries(key))
	s.lease.put(key)
	return s
}

// Registrations that begin at once share one lease, up to its capacity; other TTLs have others.
func TestSharesLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		var registrations sync.WaitGroup
		for i := range maxRecords + 1 {
			registrations.Go(func() { put(t, pool, fmt.Sprint(i)) })
		}
		registrations.Wait()
		require.Len(t, server.leases, 2)
		require.Len(t, server.leases[0].stands(), maxRecords)
		_, err := pool.acquire(t.Context(), "other", time.Minute)
		require.NoError(t, err)
		require.Len(t, server.leases, 3)
	})
}

// One question in a sixth of the TTL, at most, answers for all.
func TestAsksOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		var renewals sync.WaitGroup
		for i := range 100 {
			key := fmt.Sprint(i)
			s := put(t, pool, key)
			renewals.Go(func() {
				for range 10 {
					time.Sleep(3 * time.Second)
					has, err := s.has(t.Context(), key)
					require.NoError(t, err)
					require.True(t, has)
				}
			})
			time.Sleep(30 * time.Millisecond) // they are spread over a renewal's interval
		}
		renewals.Wait()
		require.GreaterOrEqual(t, server.lists, 10)
		require.LessOrEqual(t, server.lists, 23, "33 s, each 1.5 s")
	})
}

// An ID that is registered twice is on two leases: its record shows whose it is.
func TestOneKeyOnTwoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pool := newFakePool()
		first, second := put(t, pool, "a"), put(t, pool, "a")
		require.NotSame(t, first, second)
		require.Same(t, first, put(t, pool, "b"))
		require.NoError(t, first.deregister(t.Context(), "a"))
		require.Same(t, first, put(t, pool, "a"))
	})
}

// Who withdraws takes its own record along, and the last one the lease.
func TestWithdrawsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		s := put(t, pool, "a")
		put(t, pool, "b")
		require.NoError(t, s.deregister(t.Context(), "a"))
		require.False(t, s.carries("a"))
		require.Equal(t, []string{"b"}, s.lease.stands())
		require.NoError(t, s.deregister(t.Context(), "b"))
		require.True(t, s.lease.gone)
		require.False(t, s.lease.isKept())
		put(t, pool, "c")
		require.Len(t, server.leases, 2)
	})
}

// Who may not end the lease, as another's record is on it, removes its own.
func TestWithdrawsWhenRevokingIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pool := newFakePool()
		s := put(t, pool, "a")
		s.lease.put("denied")
		s.lease.denies = discovery.ErrDenied
		require.NoError(t, s.deregister(t.Context(), "a"))
		require.Equal(t, []string{"denied"}, s.lease.stands())
		require.False(t, s.lease.isKept())
	})
}

// What could not be withdrawn, and what a call without an answer wrote late, is gone within the TTL, though others
// keep the lease alive; meanwhile nobody takes it for that key.
func TestRemovesWhatIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		s := put(t, pool, "a")
		put(t, pool, "b")
		server.err = errAway
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.deregister(ctx, "b"), discovery.ErrUnavailable)
		server.err = nil
		require.NotSame(t, s, put(t, pool, "b"))
		has, err := s.has(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, has)
		require.Equal(t, []string{"a"}, s.lease.stands())
		s.lease.put("late")
		time.Sleep(3 * time.Second)
		_, err = s.has(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, s.lease.stands())
		require.Same(t, s, put(t, pool, "b"))
	})
}

// What was left is gone when its TTL is over, and not before two thirds of it.
func TestLeavesToTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pool := newFakePool()
		s := put(t, pool, "a")
		put(t, pool, "b")
		s.detach("b")
		for _, stands := range [][]string{{"a", "b"}, {"a", "b"}, {"a"}} {
			_, err := s.has(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, stands, s.lease.stands())
			time.Sleep(3 * time.Second)
		}
		put(t, pool, "b")
		s.detach("b")
		require.NoError(t, s.deregister(t.Context(), "a"))
		require.Equal(t, []string{"b"}, s.lease.stands(), "the last one does not take it along")
		require.False(t, s.lease.isKept(), "it runs out")
	})
}

// A lost lease is another one's for all, and what is left of it is asked nothing.
func TestLosesALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		s := put(t, pool, "a")
		put(t, pool, "b")
		s.lease.gone = true
		_, err := s.has(t.Context(), "a")
		require.ErrorIs(t, err, ErrLost)
		s.lose()
		require.False(t, s.carries("a"))
		require.False(t, s.carries("b"))
		require.Same(t, put(t, pool, "a"), put(t, pool, "b"))
		require.Len(t, server.leases, 2)
		server.leases[1].end() // as an engine's client finds out
		put(t, pool, "a")
		require.Len(t, server.leases, 3)
	})
}

// While no lease is granted, each waits as long as it has time.
func TestWaitsForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, pool := newFakePool()
		server.err = errAway
		_, err := pool.acquire(t.Context(), "a", time.Second)
		require.ErrorIs(t, err, errAway)
		require.NoError(t, pool.granting.enter(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = pool.acquire(ctx, "a", time.Second)
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Those that have lost their lease together are not all written at once.
func TestRegistersInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pool := newFakePool()
		var lock sync.Mutex
		most, now := 0, 0
		var all sync.WaitGroup
		for range 10 * maxRegistering {
			all.Go(func() {
				require.NoError(t, pool.registering.enter(t.Context()))
				defer pool.registering.leave()
				lock.Lock()
				now++
				most = max(most, now)
				lock.Unlock()
				time.Sleep(time.Second)
				lock.Lock()
				now--
				lock.Unlock()
			})
		}
		all.Wait()
		require.Equal(t, maxRegistering, most)
	})
}
