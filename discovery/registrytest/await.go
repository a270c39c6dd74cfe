package registrytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// Await reads a watch until a snapshot is as it should be, and gives that one. It fails the test when the watch
// ends, or when none comes in the time that a busy machine may take.
func Await(t testing.TB, snapshots <-chan discovery.Snapshot, right func(discovery.Snapshot) bool) discovery.Snapshot {
	t.Helper()
	deadline := time.After(patience)
	var last discovery.Snapshot
	for {
		select {
		case snapshot, ok := <-snapshots:
			require.True(t, ok, "the watch ended")
			if last = snapshot; right(snapshot) {
				return snapshot
			}
		case <-deadline:
			t.Fatalf("the watch stays at %d instances, stale %v, never %v", len(last.Instances), last.Stale, last.Never)
		}
	}
}
