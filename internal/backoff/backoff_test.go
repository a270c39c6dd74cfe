package backoff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelayDoublesToMost(t *testing.T) {
	d := Delay{First: time.Second, Most: 5 * time.Second}
	require.False(t, d.Grown())
	for range 2 {
		for _, want := range []time.Duration{1, 2, 4, 5, 5} {
			require.InDelta(t, float64(want*time.Second), float64(d.Next()), float64(want*time.Second)/5)
			require.True(t, d.Grown())
		}
		d.Reset()
		require.False(t, d.Grown())
	}
}

func TestDelayIsNeverLessThanFirst(t *testing.T) {
	d := Delay{First: time.Second}
	for range 3 {
		require.InDelta(t, float64(time.Second), float64(d.Next()), float64(time.Second)/5)
	}
}

func TestSpreadSpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[Spread(time.Hour)] = true
	}
	require.Greater(t, len(seen), 50)
}
