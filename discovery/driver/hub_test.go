package driver

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func ids(s discovery.Snapshot) []string {
	all := []string{}
	for _, in := range s.Instances {
		all = append(all, in.ID)
	}
	return all
}

// newest gives what a watch has, which may be nothing new.
func newest(snapshots <-chan discovery.Snapshot) (s discovery.Snapshot, some bool) {
	synctest.Wait()
	select {
	case s, some = <-snapshots:
	default:
	}
	return s, some
}

func watching(t *testing.T, r *Registry, q discovery.Query) <-chan discovery.Snapshot {
	t.Helper()
	snapshots, err := r.Watch(t.Context(), "web", q)
	require.NoError(t, err)
	return snapshots
}

func requireNewest(t *testing.T, snapshots <-chan discovery.Snapshot, stale bool, want ...string) {
	t.Helper()
	s, some := newest(snapshots)
	require.True(t, some, "there is nothing new")
	require.Equal(t, append([]string{}, want...), ids(s))
	require.Equal(t, stale, s.Stale)
}

func requireNothing(t *testing.T, snapshots <-chan discovery.Snapshot) {
	t.Helper()
	s, some := newest(snapshots)
	require.False(t, some, "%v", s)
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false)
		f.set(t, web("b"))
		requireNewest(t, snapshots, false, "b")
		f.set(t, web("a"), web("c"))
		requireNewest(t, snapshots, false, "a", "b", "c")
		f.set(t, discovery.Instance{Service: "web", ID: "b", State: discovery.Failing})
		requireNewest(t, snapshots, false, "a", "c")
		require.NoError(t, f.Put(t.Context(), "/x/services/web/odd", []byte("nonsense"), 0))
		requireNothing(t, snapshots)
	})
}

// An outage is told once, with the last known, and so is its end; a gap is not, when nothing has changed.
func TestWatchOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		f.set(t, web("a"))
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false, "a")
		f.breakWatches(ErrGap)
		time.Sleep(time.Second)
		requireNothing(t, snapshots)
		f.setErr(errAway)
		f.breakWatches(errAway)
		requireNewest(t, snapshots, true, "a")
		time.Sleep(time.Minute)
		requireNothing(t, snapshots)
		f.setErr(nil)
		f.lock.Lock()
		reads := f.reads
		f.lock.Unlock()
		require.Less(t, reads, 20, "the back-off ends at 10 s")
		time.Sleep(13 * time.Second)
		requireNewest(t, snapshots, false, "a")
	})
}

// What has gone within a gap is gone afterwards.
func TestWatchGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		f.set(t, web("a"), web("b"))
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false, "a", "b")
		f.lock.Lock()
		delete(f.items, "/x/services/web/a")
		f.lock.Unlock()
		f.breakWatches(ErrGap)
		time.Sleep(time.Second)
		requireNewest(t, snapshots, false, "b")
	})
}

// Gaps in a row are no reason to read without a pause.
func TestGapsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		watching(t, registryOf(t, f, 0), discovery.Query{})
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			f.breakWatches(ErrGap)
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		f.lock.Lock()
		defer f.lock.Unlock()
		require.Less(t, f.reads, 30)
	})
}

// Silence is told from an outage by a heartbeat.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false)
		time.Sleep(time.Minute)
		requireNothing(t, snapshots)
		f.lock.Lock()
		f.pingErr, f.err = errAway, errAway
		f.lock.Unlock()
		time.Sleep(heartbeatInterval + time.Millisecond)
		requireNewest(t, snapshots, true)
		f.lock.Lock()
		f.pingErr, f.err = discovery.ErrDenied, nil
		f.lock.Unlock()
		time.Sleep(13 * time.Second)
		requireNewest(t, snapshots, false)
		time.Sleep(time.Minute)
		requireNothing(t, snapshots) // who denies is there
	})
}

// All watches of a place share one source, which is closed with the last of them; who joins gets nothing older than
// its call, and those who join together read once.
func TestSharedWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		ctx, cancel := context.WithCancel(t.Context())
		first, err := r.Watch(ctx, "web", discovery.Query{})
		require.NoError(t, err)
		requireNewest(t, first, false)
		f.lock.Lock()
		f.items["/x/services/web/a"] = Item{Key: "/x/services/web/a", Value: []byte("{}"), Version: Version{99}} // no event tells
		f.lock.Unlock()
		joined := make(chan (<-chan discovery.Snapshot), 100)
		for range cap(joined) {
			go func() {
				snapshots, _ := r.Watch(ctx, "web", discovery.Query{})
				joined <- snapshots
			}()
		}
		for range cap(joined) {
			requireNewest(t, <-joined, false, "a")
		}
		requireNewest(t, first, false, "a")
		f.lock.Lock()
		require.LessOrEqual(t, f.reads, 4)
		require.Len(t, f.sources, 1)
		f.lock.Unlock()
		cancel()
		synctest.Wait()
		f.lock.Lock()
		require.Empty(t, f.sources)
		f.lock.Unlock()
		_, open := <-first
		require.False(t, open)
	})
}

// Who joins in an outage learns so at once, and is not the end of the back-off for others.
func TestJoinInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false)
		f.setErr(errAway)
		f.breakWatches(errAway)
		time.Sleep(time.Minute)
		start := time.Now()
		_, err := r.Watch(t.Context(), "web", discovery.Query{})
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		require.ErrorContains(t, err, `cannot watch service "web"`)
		require.Less(t, time.Since(start), time.Second)
		f.setErr(nil)
		requireNewest(t, watching(t, r, discovery.Query{}), false)
		requireNewest(t, snapshots, false)
	})
}

// Most changes are not for a watch with a query.
func TestNarrowWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		snapshots := watching(t, r, discovery.Query{Shard: "s1"})
		requireNewest(t, snapshots, false)
		f.set(t, web("a"))
		requireNothing(t, snapshots)
		in := web("b")
		in.Shard = "s1"
		f.set(t, in)
		requireNewest(t, snapshots, false, "b")
		in.Shard = "s2"
		f.set(t, in)
		requireNewest(t, snapshots, false)
	})
}

// In a burst those who watch are told at a pace.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 50*time.Millisecond)
		snapshots := watching(t, r, discovery.Query{})
		requireNewest(t, snapshots, false)
		time.Sleep(time.Second)
		told := 0
		for n := range 100 {
			f.set(t, web(fmt.Sprintf("%02d", n)))
			if _, some := newest(snapshots); some {
				told++
			}
			time.Sleep(time.Millisecond)
		}
		require.InDelta(t, 3, told, 1)
		time.Sleep(50 * time.Millisecond)
		s, _ := newest(snapshots)
		require.Len(t, s.Instances, 100)
	})
}

func TestWatchValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		values, err := r.WatchValue(t.Context(), "NAME")
		require.NoError(t, err)
		require.Equal(t, discovery.Value{}, <-values)
		require.NoError(t, r.Put(t.Context(), "NAME", []byte("1"), 0))
		require.Equal(t, discovery.Value{Data: []byte("1"), Found: true}, <-values)
		f.setErr(errAway)
		f.breakWatches(errAway)
		require.Equal(t, discovery.Value{Data: []byte("1"), Found: true, Stale: true}, <-values)
		f.setErr(nil)
		require.NoError(t, r.Delete(t.Context(), "NAME"))
		require.Equal(t, discovery.Value{}, <-values)
	})
}

// Closing the registry ends the watches, and who begins one afterwards is told.
func TestWatchOfAClosedRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registryOf(t, newFake(), 0)
		snapshots := watching(t, r, discovery.Query{})
		<-snapshots
		require.NoError(t, r.Close())
		_, open := <-snapshots
		require.False(t, open)
		_, err := r.Watch(t.Context(), "web", discovery.Query{})
		require.ErrorIs(t, err, discovery.ErrUnavailable)
	})
}
