package registryd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAttempts: who fails too often waits longer each time, alone.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		guesser, neighbour := attemptKey{peer: "p", user: [32]byte{1}}, attemptKey{peer: "p", user: [32]byte{2}}
		waited := func(who attemptKey) time.Duration {
			begin := time.Now()
			leave, err := a.enter(t.Context(), who, func() {})
			require.NoError(t, err)
			leave()
			leave()
			return time.Since(begin)
		}
		for range failuresAllowed {
			require.Zero(t, waited(guesser))
			a.failed(guesser)
		}
		for _, wait := range []time.Duration{1, 2, 4, 8, 10, 10} {
			require.Equal(t, wait*time.Second, waited(guesser))
			require.Zero(t, waited(neighbour))
			a.failed(guesser)
		}
		time.Sleep(failuresWindow + 1)
		a.failed(guesser)
		require.Zero(t, waited(guesser), "it is forgotten")
		for range failuresAllowed {
			a.failed(guesser)
		}
		a.succeeded(guesser)
		require.Zero(t, waited(guesser))
		require.Empty(t, a.lines)
	})
}

// TestAttemptsInLine: one of each peer at a time, and no more wait than can be answered soon.
func TestAttemptsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		who := func(peer string, n byte) attemptKey { return attemptKey{peer, [32]byte{n, byte(n >> 4)}} }
		first, err := a.enter(t.Context(), who("p", 1), nil)
		require.NoError(t, err)
		other, err := a.enter(t.Context(), who("q", 1), nil)
		require.NoError(t, err)
		other()
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, mostInLine)
		for range mostInLine - 1 {
			go func() { _, err := a.enter(ctx, who("p", 2), nil); ends <- err }()
		}
		synctest.Wait()
		_, err = a.enter(t.Context(), who("p", 3), nil)
		require.ErrorAs(t, err, new(*crowdError))
		cancel()
		for range mostInLine - 1 {
			require.ErrorIs(t, <-ends, context.Canceled)
		}
		first()
		require.Empty(t, a.lines)

		for range failuresAllowed {
			a.failed(who("p", 4))
		}
		for range mostDelayed {
			go func() { leave, _ := a.enter(t.Context(), who("p", 4), func() {}); leave(); ends <- nil }()
		}
		synctest.Wait()
		_, err = a.enter(t.Context(), who("p", 4), func() {})
		require.ErrorAs(t, err, new(*crowdError))
		for range mostDelayed {
			<-ends
		}
	})
}

// TestFailuresBounded: names that are made up do not fill the memory.
func TestFailuresBounded(t *testing.T) {
	a := newAttempts()
	for i := range 2 * mostFailures {
		a.failed(attemptKey{"p", [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	require.LessOrEqual(t, len(a.byKey), mostFailures)
}
