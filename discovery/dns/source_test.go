package dns

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// An answer is asked for again when its TTL ends, never in a loop and never later than a minute.
func TestAskedAgainWhenTheTTLEnds(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0: time.Second, time.Second: time.Second, 7 * time.Second: 7 * time.Second, 68 * 365 * 24 * time.Hour: time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Time
			s := followService("/web/", func(context.Context) (found, error) {
				at = append(at, time.Now())
				return found{ttl: given}, nil
			})
			_, err := s.Read(t.Context())
			require.NoError(t, err)
			for range 3 {
				_, err = s.Next(t.Context())
				require.NoError(t, err)
			}
			for i := range 3 {
				require.Equal(t, want, at[i+1].Sub(at[i]))
			}
			soon, cancel := context.WithTimeout(t.Context(), want/2)
			defer cancel()
			_, err = s.Next(soon)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Len(t, at, 4, "who looks away does not make it ask")
		})
	}
}

// The shortest of all TTLs counts, and one with the highest bit set is none (RFC 2181).
func TestShortestTTL(t *testing.T) {
	a := answer{ttl: maxTTL}
	for _, c := range []struct {
		seconds uint32
		want    time.Duration
	}{{1<<31 - 1, maxTTL}, {7, 7 * time.Second}, {9, 7 * time.Second}, {1 << 31, 0}} {
		a.within(c.seconds)
		require.Equal(t, c.want, a.ttl)
	}
}

// A watch through the life of a name: it appears, changes, cannot be asked for, is back, and vanishes. What stays the
// same is not told again.
func TestWatchedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lock sync.Mutex
		var answer found
		var failure error
		set := func(f found, err error) {
			lock.Lock()
			defer lock.Unlock()
			answer, failure = f, err
		}
		one := found{ttl: 5 * time.Second, instances: []discovery.Instance{{ID: "a", Host: "10.0.0.5", State: discovery.Passing}}}
		two := found{ttl: 5 * time.Second, instances: []discovery.Instance{{ID: "a", Host: "10.0.0.6", State: discovery.Passing}}}
		nobody := found{ttl: 5 * time.Second, absent: true}
		set(nobody, nil)
		snapshots := follow(t, func(context.Context) (found, error) {
			lock.Lock()
			defer lock.Unlock()
			return answer, failure
		})
		next := func() discovery.Snapshot {
			synctest.Wait()
			select {
			case s := <-snapshots:
				return s
			case <-time.After(time.Minute):
				return discovery.Snapshot{Service: "nothing new"}
			}
		}
		first := next()
		require.Empty(t, first.Instances)
		require.True(t, first.Never)
		set(one, nil)
		require.Equal(t, "10.0.0.5", next().Instances[0].Host)
		require.Equal(t, "nothing new", next().Service)
		set(two, nil)
		require.Equal(t, "10.0.0.6", next().Instances[0].Host)
		set(found{}, discovery.Mark(discovery.ErrUnavailable, errors.New("SERVFAIL")))
		away := next()
		require.True(t, away.Stale)
		require.Equal(t, "10.0.0.6", away.Instances[0].Host)
		require.Equal(t, "nothing new", next().Service)
		set(two, nil)
		back := next()
		require.False(t, back.Stale)
		require.Equal(t, "10.0.0.6", back.Instances[0].Host)
		set(nobody, nil)
		gone := next()
		require.Empty(t, gone.Instances)
		require.False(t, gone.Never, "it was there")
	})
}

// follow watches what look gives by the driver, as users see it.
func follow(t *testing.T, look func(context.Context) (found, error)) <-chan discovery.Snapshot {
	_, config, err := discovery.NewEngines(Engine).Find("dns:///test", discovery.WithLog(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	b, err := newBackend(config)
	require.NoError(t, err)
	registry := driver.Open(config, b.names, fakeLooks{b, look}, 0)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	var snapshots <-chan discovery.Snapshot
	snapshots, err = registry.Watch(t.Context(), "web", discovery.Query{})
	require.NoError(t, err)
	return snapshots
}

type fakeLooks struct {
	*backend
	look func(context.Context) (found, error)
}

func (f fakeLooks) Follow(key string) driver.Source { return followService(key, f.look) }
