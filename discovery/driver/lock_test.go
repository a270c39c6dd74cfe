package driver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// fakeLock is held by the fake's owner.
type fakeLock struct {
	*fake
	ttl    time.Duration
	lost   chan struct{}
	renews int
	puts   []string
}

func (f *fake) NewLock(_ string, ttl time.Duration) Lock {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.held = &fakeLock{fake: f, ttl: ttl, lost: make(chan struct{}, 1)}
	return f.held
}

func (l *fakeLock) Lost() <-chan struct{} { return l.lost }

func (l *fakeLock) Acquire(context.Context) (Grant, error) {
	conflict := false
	err := l.locked(func() {
		if conflict = l.owner != nil && l.owner != l; !conflict {
			l.owner = l
		}
	})
	if conflict {
		err = discovery.ErrConflict
	}
	return Grant{TTL: l.ttl}, err
}

func (l *fakeLock) WaitReleased(ctx context.Context) error {
	l.lock.Lock()
	released := l.released
	l.lock.Unlock()
	select {
	case <-released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// own does something for who has the lock.
func (l *fakeLock) own(do func()) error {
	conflict := false
	err := l.locked(func() {
		if conflict = l.owner != l; !conflict {
			do()
		}
	})
	if conflict {
		return ErrNotLeading
	}
	return err
}

func (l *fakeLock) Renew(context.Context) error { return l.own(func() { l.renews++ }) }

func (l *fakeLock) Release(context.Context) error {
	return l.locked(func() {
		if l.owner == l {
			l.depose()
		}
	})
}

// depose makes that nobody leads.
func (f *fake) depose() {
	f.owner = nil
	close(f.released)
	f.released = make(chan struct{})
}

func (l *fakeLock) Put(_ context.Context, key string, value []byte) error {
	return l.own(func() { l.puts = append(l.puts, key+"="+string(value)) })
}

func (l *fakeLock) Delete(_ context.Context, key string) error {
	return l.own(func() { l.puts = append(l.puts, key) })
}

func leading(t *testing.T, r *Registry) (discovery.Leadership, *fakeLock) {
	t.Helper()
	leader, err := r.Campaign(t.Context(), "NAME", 9*time.Second)
	require.NoError(t, err)
	return leader, r.backend.(*fake).held
}

func requireLeads(t *testing.T, leader discovery.Leadership, leads bool) {
	t.Helper()
	synctest.Wait()
	select {
	case <-leader.Done():
		require.False(t, leads, "it leads no more")
	default:
		require.True(t, leads, "it still leads")
	}
}

func TestLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		leader, lock := leading(t, r)
		require.NoError(t, leader.Put(t.Context(), []byte("1")))
		require.NoError(t, leader.Delete(t.Context()))
		f.lock.Lock()
		require.Equal(t, []string{"/x/environment/NAME=1", "/x/environment/NAME"}, lock.puts)
		f.lock.Unlock()
		require.ErrorIs(t, leader.Put(t.Context(), make([]byte, discovery.MaxValue+1)), discovery.ErrInvalid)
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		f.lock.Lock()
		require.Equal(t, 20, lock.renews)
		f.lock.Unlock()
		requireLeads(t, leader, true)
		require.NoError(t, leader.Close())
		requireLeads(t, leader, false)
		require.ErrorIs(t, leader.Put(t.Context(), nil), discovery.ErrConflict)
		require.NoError(t, leader.Close())
		_, err := r.Campaign(t.Context(), "not-a-name", 0)
		require.ErrorIs(t, err, discovery.ErrInvalid)
	})
}

// One at a time: the next leads when the lock is released, and not before.
func TestStandsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registryOf(t, newFake(), 0)
		first, _ := leading(t, r)
		next := make(chan discovery.Leadership, 1)
		go func() {
			leader, _ := r.Campaign(t.Context(), "NAME", 9*time.Second)
			next <- leader
		}()
		time.Sleep(time.Minute)
		require.Empty(t, next)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Campaign(ctx, "NAME", 9*time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, first.Close())
		requireLeads(t, <-next, true)
	})
}

// Who loses the lock learns of it: at once where the lock notices, else by its renewal.
func TestLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		for _, noticed := range []bool{true, false} {
			leader, lock := leading(t, r)
			f.lock.Lock()
			f.depose()
			f.lock.Unlock()
			if noticed {
				lock.lost <- struct{}{}
			} else {
				time.Sleep(3 * time.Second)
			}
			requireLeads(t, leader, false)
		}
		leader, lock := leading(t, r)
		lock.lost <- struct{}{} // which was wrong
		requireLeads(t, leader, true)
	})
}

// A leader rides out an outage, but not for longer than its TTL.
func TestLeadsThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		leader, _ := leading(t, r)
		time.Sleep(time.Second)
		f.setErr(errAway)
		time.Sleep(4 * time.Second)
		requireLeads(t, leader, true)
		f.setErr(nil)
		time.Sleep(9 * time.Second)
		requireLeads(t, leader, true)
		f.setErr(errAway)
		time.Sleep(9 * time.Second)
		requireLeads(t, leader, false)
		f.setErr(nil)
	})
}

// Who stands rides an outage out, too, and gives up when it is denied; what it may have got is released.
func TestCampaignInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		f.setErr(errAway)
		time.AfterFunc(time.Minute, func() { f.setErr(nil) })
		start := time.Now()
		leader, _ := leading(t, r)
		require.Less(t, time.Since(start), 73*time.Second)
		require.NoError(t, leader.Close())
		f.setErr(discovery.ErrDenied)
		_, err := r.Campaign(t.Context(), "NAME", 0)
		require.ErrorIs(t, err, discovery.ErrDenied)
		require.ErrorContains(t, err, `cannot lead for "NAME"`)
		f.setErr(nil)
	})
}

// The registry's Close releases, and nobody waits any more.
func TestClosedRegistryLeadsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		leader, _ := leading(t, r)
		failed := make(chan error, 1)
		go func() {
			_, err := r.Campaign(t.Context(), "NAME", 0)
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, r.Close())
		requireLeads(t, leader, false)
		require.Error(t, <-failed)
		f.lock.Lock()
		defer f.lock.Unlock()
		require.Nil(t, f.owner)
	})
}

// An owner that cannot renew ends a margin before another may hold the lock, and releases nothing until it is closed.
func TestOwnerEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		held, err := r.Lock(t.Context(), "a/b", 8*time.Second)
		require.NoError(t, err)
		_, err = r.TryLock(t.Context(), "a/b", 8*time.Second)
		require.ErrorIs(t, err, discovery.ErrConflict)
		f.setErr(errAway)
		lost := time.Now()
		<-held.Done()
		require.Equal(t, 6*time.Second, time.Since(lost))
		require.Equal(t, 2*time.Second, held.Margin())
		f.setErr(nil)
		time.Sleep(time.Minute)
		f.lock.Lock()
		require.NotNil(t, f.owner)
		f.lock.Unlock()
		require.NoError(t, held.Close())
		f.lock.Lock()
		defer f.lock.Unlock()
		require.Nil(t, f.owner)
	})
}
