package registrytest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// present waits until a read finds exactly these.
func (s *suite) present(registry discovery.Registry, service string, want ...string) {
	s.Helper()
	s.eventually(func() error {
		snapshot, err := registry.Instances(s.ctx, service, discovery.Query{All: true})
		if err != nil {
			return err
		}
		if got := ids(snapshot); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("a read finds %v, not %v", got, want)
		}
		return nil
	})
}

// lostLease: the registration comes back by itself, with its present content.
func lostLease(s *suite) {
	s.need("lost leases", s.Revoke != nil)
	registry := s.open()
	registration := s.register(registry, s.instance("web", "a", 1))
	s.noError(registration.Update(s.ctx, s.instance("web", "a", 2)))
	watching := s.watch(s.open(), "web", discovery.Query{})
	for range 3 {
		_, _, before := watching.counts()
		s.Revoke(s, s.prefix)
		s.eventually(func() error {
			if _, _, empty := watching.counts(); empty == before {
				return fmt.Errorf("the watch has not seen it go")
			}
			return nil
		})
		watching.await(registration.ID())
	}
	require.NoError(s, registration.Err())
	require.Equal(s, 2, number(s.read(registry, "web", discovery.Query{}).Instances[0]))
	s.close(registration)
	s.present(registry, "web")
}

// killAndRestart: the outage is no empty snapshot, and all is as before after it.
func killAndRestart(s *suite) {
	s.need("kill and restart", s.Kill != nil)
	registry, other := s.open(), s.open()
	registration := s.register(registry, s.instance("web", "a", 1))
	var before []byte
	v, hasValues := registry.(discovery.Values)
	if hasValues {
		before = []byte("kept")
		s.noError(v.Put(s.ctx, "KEPT", before, 0))
	}
	watching := s.watch(other, "web", discovery.Query{})
	s.Kill(s)
	watching.awaitStale()
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	_, err := other.Instances(ctx, "web", discovery.Query{})
	cancel()
	s.isError(err, discovery.ErrUnavailable)
	s.Restart(s)
	watching.await(registration.ID())
	s.noError(registration.Update(s.ctx, s.instance("web", "a", 2)))
	late := s.register(other, s.instance("web", "b", 3))
	watching.await(registration.ID(), late.ID())
	if hasValues {
		data, err := v.Get(s.ctx, "KEPT")
		s.noError(err)
		require.Equal(s, before, data)
	}
	require.NoError(s, registration.Err())
	s.close(registration)
	watching.await(late.ID())
}

// lostData: a server that comes back with a younger history than the watches have seen has everyone back, and
// its changes are seen.
func lostData(s *suite) {
	s.need("lost data", s.Wipe != nil)
	registry, other := s.open(), s.open()
	registration := s.register(registry, s.instance("web", "a", 1))
	for n := 2; n < 30; n++ {
		s.noError(registration.Update(s.ctx, s.instance("web", "a", n)))
	}
	watching := s.watch(other, "web", discovery.Query{})
	v, hasValues := registry.(discovery.Values)
	var changes <-chan discovery.Value
	if hasValues {
		var err error
		s.noError(v.Put(s.ctx, "NAME", []byte("one"), 0))
		changes, err = other.(discovery.Values).WatchValue(s.ctx, "NAME")
		s.noError(err)
		require.Equal(s, "one", string(receive(s, "first value", changes).Data))
	}
	s.Wipe(s)
	s.present(registry, "web", registration.ID())
	watching.await(registration.ID())
	if hasValues {
		s.noError(v.Put(s.ctx, "NAME", []byte("two"), 0))
		for value := receive(s, "value", changes); value.Stale || string(value.Data) != "two"; {
			value = receive(s, "value", changes)
		}
	}
	late := s.register(other, s.instance("web", "b", 1))
	watching.await(registration.ID(), late.ID())
	s.close(registration)
	watching.await(late.ID())
	require.NoError(s, registration.Err())
}

// pausePastTTL: a server that stood still for longer than the TTL has everyone back.
func pausePastTTL(s *suite) {
	s.need("a pause", s.Pause != nil)
	registry := s.open()
	a := s.register(registry, s.instance("web", "a", 1))
	b := s.register(s.open(), s.instance("web", "b", 1))
	// A watch of its own learns of the pause when a call has waited for its time: a URL may give that for a busy machine.
	watching := s.watch(s.openURL(s.with(s.URL(s.prefix), "timeout", "5s")), "web", discovery.Query{})
	s.Pause(s)
	time.Sleep(2 * s.ttl())
	watching.awaitStale()
	_, _, empty := watching.counts()
	s.Resume(s)
	require.Zero(s, empty, "an outage is never an empty snapshot")
	want := []string{a.ID(), b.ID()}
	if want[0] > want[1] {
		want[0], want[1] = want[1], want[0]
	}
	s.present(registry, "web", want...)
	watching.await(a.ID(), b.ID())
	time.Sleep(2 * s.ttl())
	watching.await(a.ID(), b.ID())
	require.NoError(s, a.Err())
	require.NoError(s, b.Err())
}

// partitionOfRegistrant: gone within its TTL, back after.
func partitionOfRegistrant(s *suite) {
	s.need("a partition", s.FarURL != nil)
	near, far := s.open(), s.openURL(s.FarURL(s.prefix))
	stays := s.steady(near, s.instance("web", "stays", 1))
	cut := s.register(far, s.instance("web", "cut", 1))
	watching := s.watch(near, "web", discovery.Query{})
	watching.await(stays.ID(), cut.ID())
	s.Cut(s)
	watching.await(stays.ID())
	ctx, cancel := context.WithTimeout(s.ctx, time.Second)
	err := cut.Update(ctx, s.instance("web", "cut", 2))
	cancel()
	s.isError(err, discovery.ErrUnavailable)
	s.Mend(s)
	watching.await(stays.ID(), cut.ID())
	s.noError(cut.Update(s.ctx, s.instance("web", "cut", 3)))
	require.NoError(s, cut.Err())
	s.close(cut)
	watching.await(stays.ID())
	_, stale, _ := watching.counts()
	require.Zero(s, stale, "who is not cut off knows no outage")
}

// partitionOfWatcher: it keeps what it knows, marked, and catches up.
func partitionOfWatcher(s *suite) {
	s.need("a partition", s.FarURL != nil)
	near, far := s.open(), s.openURL(s.FarURL(s.prefix))
	a := s.register(near, s.instance("web", "a", 1))
	watching := s.watch(far, "web", discovery.Query{})
	v, hasValues := far.(discovery.Values)
	var changes <-chan discovery.Value
	if hasValues {
		var err error
		changes, err = v.WatchValue(s.ctx, "NAME")
		s.noError(err)
		receive(s, "first value", changes)
	}
	s.Cut(s)
	b := s.register(near, s.instance("web", "b", 2))
	s.close(a)
	watching.awaitStale()
	_, _, empty := watching.counts()
	require.Zero(s, empty, "an outage is never an empty snapshot")
	if hasValues {
		require.True(s, receive(s, "stale value", changes).Stale)
		s.noError(near.(discovery.Values).Put(s.ctx, "NAME", []byte("new"), 0))
	}
	s.Mend(s)
	watching.await(b.ID())
	if hasValues {
		for value := receive(s, "value", changes); value.Stale || string(value.Data) != "new"; {
			value = receive(s, "value", changes)
		}
	}
	c := s.register(near, s.instance("web", "c", 3))
	watching.await(b.ID(), c.ID())
}

// takeoverInPartition: who was replaced while cut off ends, and leaves the newer record alone.
func takeoverInPartition(s *suite) {
	s.need("a partition", s.FarURL != nil && !s.OwnIDs)
	near, far := s.open(), s.openURL(s.FarURL(s.prefix))
	old := s.register(far, s.instance("web", "a", 1))
	s.Cut(s)
	newer := s.steady(near, s.instance("web", "a", 2))
	time.Sleep(2 * s.ttl())
	s.Mend(s)
	closed(s, "the older registration", old.Done())
	s.isError(old.Err(), discovery.ErrConflict)
	snapshot := s.read(near, "web", discovery.Query{})
	require.Len(s, snapshot.Instances, 1)
	require.Equal(s, 2, number(snapshot.Instances[0]))
	require.NoError(s, newer.Err())
}

// compactionUnderWatch: changes that the server has forgotten are no gap.
func compactionUnderWatch(s *suite) {
	s.need("compaction and a partition", s.Compact != nil && s.FarURL != nil)
	s.calm = true // for who is not cut off
	near, far := s.open(), s.openURL(s.FarURL(s.prefix))
	gone := s.steady(near, s.instance("web", "gone", 1))
	stays := s.steady(near, s.instance("web", "stays", 1))
	watching := s.watch(far, "web", discovery.Query{})
	for round := range 3 {
		s.Cut(s)
		if round == 0 {
			s.close(gone)
		}
		for n := 2; n < 30; n++ {
			s.noError(stays.Update(s.ctx, s.instance("web", "stays", 100*round+n)))
		}
		s.Compact(s)
		s.Mend(s)
		watching.await(stays.ID())
		s.eventually(func() error {
			watching.lock.Lock()
			defer watching.lock.Unlock()
			if got := watching.versions[stays.ID()]; got != 100*round+29 {
				return fmt.Errorf("the watch has seen %d", got)
			}
			return nil
		})
	}
}
