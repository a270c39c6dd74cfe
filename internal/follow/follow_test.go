package follow

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// TestEachTriesAgain: with back-off, which begins anew with each snapshot; one that is stale is no new one.
func TestEachTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		snapshots := make(chan discovery.Snapshot)
		var (
			lock sync.Mutex
			seen []string
			done bool
		)
		ended := make(chan error, 1)
		go func() {
			ended <- Each(t.Context(), snapshots, func(_ context.Context, s discovery.Snapshot) (bool, error) {
				lock.Lock()
				defer lock.Unlock()
				seen = append(seen, s.Revision)
				return done, nil
			})
		}()
		tries := func(wait time.Duration) []string {
			lock.Lock()
			seen = nil
			lock.Unlock()
			time.Sleep(wait)
			lock.Lock()
			defer lock.Unlock()
			return slices.Clone(seen)
		}
		snapshots <- discovery.Snapshot{Revision: "1"}
		require.GreaterOrEqual(t, len(tries(time.Second)), 3) // the first, after 0.1, after 0.3 s
		tries(time.Minute)
		require.LessOrEqual(t, len(tries(time.Minute)), 8) // each 10 s, by now
		snapshots <- discovery.Snapshot{Revision: "1", Stale: true}
		require.LessOrEqual(t, len(tries(time.Second)), 1)
		snapshots <- discovery.Snapshot{Revision: "2"}
		again := tries(time.Second)
		require.GreaterOrEqual(t, len(again), 3)
		require.Equal(t, "2", again[0])
		lock.Lock()
		done = true
		lock.Unlock()
		tries(time.Minute)
		require.Empty(t, tries(time.Hour))
		close(snapshots)
		require.NoError(t, <-ended)
	})
}
