package discovery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func TestBackoff(t *testing.T) {
	var b discovery.Backoff
	want := 100 * time.Millisecond
	for range 12 {
		got := b.Next()
		require.GreaterOrEqual(t, got, want*8/10)
		require.LessOrEqual(t, got, want*12/10)
		want = min(2*want, 10*time.Second)
	}
	b.Reset()
	require.LessOrEqual(t, b.Next(), 120*time.Millisecond)
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := discovery.Mark(discovery.ErrUnavailable, errors.New("away"))
		tries := 0
		require.NoError(t, discovery.Retry(t.Context(), func(context.Context) error {
			if tries++; tries < 5 {
				return away
			}
			return nil
		}))
		require.Equal(t, 5, tries)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, discovery.Retry(ctx, func(context.Context) error { return away }), discovery.ErrUnavailable)
		require.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, discovery.Retry(t.Context(), func(context.Context) error { return discovery.ErrDenied }), discovery.ErrDenied)
	})
}
