package follow

import (
	"context"
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
		var seen []string
		done := false
		ended := make(chan error, 1)
		go func() {
			ended <- Each(t.Context(), snapshots, func(_ context.Context, s discovery.Snapshot) (bool, error) {
				seen = append(seen, s.Revision)
				return done, nil
			})
		}()
		tries := func(wait time.Duration) int {
			seen = nil
			time.Sleep(wait)
			synctest.Wait()
			return len(seen)
		}
		snapshots <- discovery.Snapshot{Revision: "1"}
		require.GreaterOrEqual(t, tries(time.Second), 3) // the first, after 0.1, after 0.3 s
		tries(time.Minute)
		require.LessOrEqual(t, tries(time.Minute), 8) // each 10 s, by now
		snapshots <- discovery.Snapshot{Revision: "1", Stale: true}
		require.LessOrEqual(t, tries(time.Second), 1)
		snapshots <- discovery.Snapshot{Revision: "2"}
		require.GreaterOrEqual(t, tries(time.Second), 3)
		require.Equal(t, "2", seen[0])
		done = true
		tries(time.Minute)
		require.Zero(t, tries(time.Hour))
		close(snapshots)
		require.NoError(t, <-ended)
	})
}
