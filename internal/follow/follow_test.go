package follow

import (
	"context"
	"sync/atomic"
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
		seen := make(chan string, 1000) // revisions
		var done atomic.Bool
		ended := make(chan error, 1)
		go func() {
			ended <- Each(t.Context(), snapshots, func(_ context.Context, s discovery.Snapshot) (bool, error) {
				seen <- s.Revision
				return done.Load(), nil
			})
		}()
		tries := func(wait time.Duration) (revisions []string) {
			time.Sleep(wait)
			synctest.Wait()
			for len(seen) > 0 {
				revisions = append(revisions, <-seen)
			}
			return revisions
		}
		snapshots <- discovery.Snapshot{Revision: "1"}
		require.GreaterOrEqual(t, len(tries(time.Second)), 3) // the first, after 0.1, after 0.3 s
		tries(time.Minute)
		require.LessOrEqual(t, len(tries(time.Minute)), 8) // each 10 s, by now
		snapshots <- discovery.Snapshot{Revision: "1", Stale: true}
		require.LessOrEqual(t, len(tries(time.Second)), 1)
		snapshots <- discovery.Snapshot{Revision: "2"}
		second := tries(time.Second)
		require.GreaterOrEqual(t, len(second), 3)
		require.Equal(t, "2", second[0])
		done.Store(true)
		tries(time.Minute)
		require.Empty(t, tries(time.Hour))
		close(snapshots)
		require.NoError(t, <-ended)
	})
}
