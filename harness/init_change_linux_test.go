package harness

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestOutputThatIsStuck: a write that does not end is given up, none is begun beside it, and the next one after its end
// writes what is current.
func TestOutputThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, written := make(chan struct{}), 0
		write := func() error { <-disk; written++; return nil }
		o := newOutput("out/env", "write")
		for range 3 {
			require.ErrorContains(t, o.write(write), "out/env: did not answer for 2s (--write)")
		}
		close(disk)
		synctest.Wait()
		require.Equal(t, 1, written)
		require.NoError(t, o.write(write))
		require.NoError(t, o.write(write))
		require.Equal(t, 3, written)
	})
}
