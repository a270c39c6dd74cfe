package registrytest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

func (s *suite) locker() discovery.Locker {
	s.Helper()
	l, ok := s.open().(discovery.Locker)
	s.need("locks", ok)
	return l
}

// hold waits for a lock in the background.
func (s *suite) hold(locker discovery.Locker, name string, ttl time.Duration) <-chan discovery.Held {
	got := make(chan discovery.Held, 1)
	go func() {
		if held, err := locker.Lock(s.ctx, name, ttl); err == nil {
			got <- held
		}
		close(got)
	}()
	s.Cleanup(func() {
		for held := range got {
			_ = held.Close()
		}
	})
	return got
}

// locks: one holds at a time, the next as soon as it is released, with a greater token.
func locks(s *suite) {
	locker, other := s.locker(), s.locker()
	first := receive(s, "lock", s.hold(locker, "rolling/restart", s.keptTTL()))
	waiting := s.hold(other, "rolling/restart", s.keptTTL())
	for _, name := range []string{"rolling", "rolling/restart/", "ä\x00\xff", "..", "_", "%2F", strings.Repeat("x", discovery.MaxLockName)} {
		another := receive(s, "lock of another name", s.hold(other, name, s.keptTTL()))
		s.close(another)
	}
	for _, name := range []string{"", strings.Repeat("x", discovery.MaxLockName+1)} {
		_, err := locker.Lock(s.ctx, name, 0)
		s.isError(err, discovery.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Second)
	_, err := s.locker().Lock(ctx, "rolling/restart", s.ttl())
	cancel()
	require.ErrorIs(s, err, context.DeadlineExceeded)
	_, err = other.TryLock(s.ctx, "rolling/restart", s.ttl())
	s.isError(err, discovery.ErrConflict)
	require.Empty(s, waiting)
	open(s, first.Done())

	s.close(first)
	second := receive(s, "lock", waiting)
	if first.Token() != 0 {
		require.Greater(s, second.Token(), first.Token())
	}
	time.Sleep(4 * s.keptTTL() / 3) // it is renewed
	open(s, second.Done())
	names, err := other.(discovery.Values).List(s.ctx)
	s.noError(err)
	require.Empty(s, names, "a lock is no value")
	s.close(second)
}

// open fails the test if a channel is closed.
func open(s *suite, done <-chan struct{}) {
	s.Helper()
	select {
	case <-done:
		s.Fatal("the lock was lost for no reason")
	default:
	}
}

// lockLost: who is robbed of its lock learns of it, and stands in nobody's way.
func lockLost(s *suite) {
	s.need("lost leases", s.Revoke != nil)
	first := receive(s, "lock", s.hold(s.locker(), "a", s.ttl()))
	waiting := s.hold(s.locker(), "a", s.ttl())
	s.Revoke(s, s.prefix)
	closed(s, "Done", first.Done())
	s.noError(ignoreConflict(first.Close()))
	second := receive(s, "lock", waiting)
	s.close(second)
}

func ignoreConflict(err error) error {
	if errors.Is(err, discovery.ErrConflict) {
		return nil
	}
	return err
}

// lockInPartition: who is cut off gives up before another may have the lock.
func lockInPartition(s *suite) {
	s.need("partitions", s.Cut != nil)
	far, ok := s.openURL(s.FarURL(s.prefix)).(discovery.Locker)
	s.need("locks", ok)
	first := receive(s, "lock", s.hold(far, "a", s.ttl()))
	waiting := s.hold(s.locker(), "a", s.ttl())
	s.Cut(s)
	defer s.Mend(s)
	select {
	case <-first.Done():
	case <-waiting:
		s.Fatal("two hold it")
	case <-time.After(patience):
		s.Fatal("it is held for ever")
	}
	second := receive(s, "lock", waiting)
	s.close(second)
}
