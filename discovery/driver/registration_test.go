package driver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

func web(id string) discovery.Instance {
	return discovery.Instance{ID: id, Service: "web", Host: "h", State: discovery.Passing}
}

// registered gives a registration that is ready, and forgets the steps until then.
func registered(t *testing.T, r *Registry, f *fake, options ...discovery.RegisterOption) discovery.Registration {
	t.Helper()
	registration, err := r.Register(t.Context(), web("a"), 9*time.Second, options...)
	require.NoError(t, err)
	require.NoError(t, registration.WaitReady(t.Context()))
	require.Equal(t, []string{"take over"}, f.lease.taken())
	return registration
}

func TestRenewsAtAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		time.Sleep(9*time.Second + time.Millisecond)
		require.Equal(t, []string{"renew", "renew", "renew"}, f.lease.taken())
		require.NoError(t, registration.Close())
		require.Equal(t, []string{"deregister"}, f.lease.taken())
		require.NoError(t, registration.Err())
		require.Error(t, registration.Update(t.Context(), web("a")))
	})
}

// Updates in a row keep no renewal away.
func TestRenewsWhileUpdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		for range 4 {
			time.Sleep(900 * time.Millisecond)
			require.NoError(t, registration.Update(t.Context(), web("a")))
		}
		require.Equal(t, []string{"update", "update", "update", "renew", "update"}, f.lease.taken())
	})
}

// An update that is written succeeds, though the renewal that was due with it fails; that is tried again.
func TestUpdateSucceedsBesideFailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		f.lease.answer("renew", errAway)
		time.Sleep(3*time.Second + time.Millisecond)
		require.NoError(t, registration.Update(t.Context(), web("a")))
		require.Equal(t, []string{"renew", "update", "renew"}, f.lease.taken())
		f.lease.answer("renew", nil)
		time.Sleep(time.Second)
		require.Equal(t, []string{"renew"}, f.lease.taken())
	})
}

// A step is shorter than a call: an update that the registry did not take at once is tried again for as long as a call
// may take, and only then fails.
func TestUpdateWaitsOutAShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		f.lease.answer("update", errAway)
		time.AfterFunc(2*time.Second, func() { f.lease.answer("update", nil) })
		require.NoError(t, registration.Update(t.Context(), web("a")))

		f.lease.answer("update", errAway)
		began := time.Now()
		require.ErrorIs(t, registration.Update(t.Context(), web("a")), discovery.ErrUnavailable)
		require.Equal(t, discovery.DefaultTimeout, time.Since(began))
	})
}

// An update that is never answered, as when a cluster's leader dies with it, is written again soon, and with more
// patience each time: a slow registry is not asked for more than it can do.
func TestUpdateThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.lease.ttl = time.Minute
		registration := registered(t, registryOf(t, f, 0), f)
		f.lease.mute = 1
		began := time.Now()
		require.NoError(t, registration.Update(t.Context(), web("a")))
		require.Less(t, time.Since(began), 1200*time.Millisecond)
		require.Equal(t, []string{"update", "update"}, f.lease.taken())

		f.lease.mute = 2
		began = time.Now()
		require.NoError(t, registration.Update(t.Context(), web("a")))
		require.InDelta(t, 3.3, time.Since(began).Seconds(), 0.2)
	})
}

func TestAnnouncesAgainWhenLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.lease.lost = make(chan struct{}, 1)
		registration := registered(t, registryOf(t, f, 0), f)
		f.lease.answer("renew", ErrLost)
		time.Sleep(3*time.Second + time.Millisecond)
		require.Equal(t, []string{"renew", "register"}, f.lease.taken(), "the ID is not taken over again")
		f.lease.lost <- struct{}{}
		synctest.Wait()
		require.Equal(t, []string{"register"}, f.lease.taken())
		require.NoError(t, registration.Err())
	})
}

func TestEndsWithAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		f.lease.answer("renew", discovery.ErrConflict)
		<-registration.Done()
		require.ErrorIs(t, registration.Err(), discovery.ErrConflict)
		require.ErrorContains(t, registration.Err(), `cannot renew "web"`)
		require.Equal(t, []string{"renew", "detach"}, f.lease.taken(), "what is another's is not removed")
		require.NoError(t, registration.Close())
	})
}

func TestTriesAgainWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		f.lease.answer("take over", errAway)
		registration, err := r.Register(t.Context(), web("a"), 9*time.Second)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = registration.WaitReady(ctx)
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "a hint", discovery.Hint(err))
		require.ErrorIs(t, registration.Update(t.Context(), web("a")), discovery.ErrUnavailable)
		time.Sleep(time.Minute)
		tries := len(f.lease.taken())
		require.Greater(t, tries, 8)
		require.Less(t, tries, 20, "the back-off ends at 10 s")
		f.lease.answer("take over", nil)
		require.NoError(t, registration.WaitReady(t.Context()))
		f.lease.taken()

		f.lease.answer("deregister", errAway)
		err = registration.Close()
		require.ErrorIs(t, err, discovery.ErrUnavailable)
		require.ErrorContains(t, err, "until its TTL of 9s")
	})
}

func TestDeniedIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.lease.answer("take over", discovery.ErrDenied)
		registration, err := registryOf(t, f, 0).Register(t.Context(), web("a"), 0)
		require.NoError(t, err)
		require.ErrorIs(t, registration.WaitReady(t.Context()), discovery.ErrDenied)
		require.ErrorIs(t, registration.Err(), discovery.ErrDenied)
	})
}

func TestContextsEndWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		registration, err := registryOf(t, f, 0).Register(ctx, web("a"), 0)
		require.NoError(t, err)
		require.NoError(t, registration.WaitReady(t.Context()))
		cancel()
		<-registration.Done()
		require.ErrorIs(t, registration.Err(), context.Canceled)
		require.Equal(t, []string{"take over", "deregister"}, f.lease.taken())
	})
}

func TestLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		registration := registered(t, registryOf(t, f, 0), f)
		registration.Leave()
		require.Equal(t, []string{"detach"}, f.lease.taken())
		require.NoError(t, registration.Err())
	})
}

// counting is a fake whose records it makes itself: none while an instance does not pass.
type counting struct {
	*fake
	encoded int
}

func (c *counting) Encode(in discovery.Instance) (string, []byte, bool, error) {
	c.encoded++
	if in.Host == "odd" {
		return "", nil, false, discovery.Mark(discovery.ErrInvalid, errors.New("odd"))
	}
	records, err := layout.Native("x").Encode(in)
	if err != nil || in.State != discovery.Passing {
		return "", nil, false, err
	}
	if in.Host == "moved" {
		records[0].Key += "-moved"
	}
	return records[0].Key, records[0].Value, true, nil
}

// A record is made once a change, not once a renewal, and what cannot be written is refused.
func TestEncodesOnceAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := &counting{fake: f}
		r := registryOf(t, f, 0)
		r.backend = c
		registration := registered(t, r, f)
		before := c.encoded
		time.Sleep(time.Hour)
		require.Equal(t, before, c.encoded)
		f.lease.stands = []byte(`{"host":"h","added_by_others":1}`)
		require.NoError(t, registration.Update(t.Context(), web("a")))
		require.Contains(t, string(f.lease.record.Value), `"added_by_others":1`)
		for _, host := range []string{"odd", "moved"} {
			in := web("a")
			in.Host = host
			require.ErrorIs(t, registration.Update(t.Context(), in), discovery.ErrInvalid)
		}
		f.lease.taken()
		time.Sleep(3*time.Second + time.Millisecond)
		require.Equal(t, []string{"update", "renew"}, f.lease.taken(), "it goes on as it was")
		require.NoError(t, registration.Err())
	})
}

// While there is to be no record it is deregistered, and not renewed.
func TestHidesWhatDoesNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		r.backend = &counting{fake: f}
		in := web("a")
		in.State = discovery.Starting
		registration, err := r.Register(t.Context(), in, 9*time.Second)
		require.NoError(t, err)
		require.NoError(t, registration.WaitReady(t.Context()))
		time.Sleep(time.Minute)
		require.Empty(t, f.lease.taken())
		require.NoError(t, registration.Update(t.Context(), web("a")))
		require.Equal(t, []string{"register"}, f.lease.taken(), "who registered meanwhile is newer")
		require.NoError(t, registration.Update(t.Context(), in))
		require.Equal(t, []string{"deregister"}, f.lease.taken())
		time.Sleep(time.Minute)
		require.Empty(t, f.lease.taken())
		require.NoError(t, registration.Close())
		require.Empty(t, f.lease.taken())
	})
}

// The newest registrant's credentials are everyone's; a re-registration adopts them.
func TestSharesCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := registryOf(t, f, 0)
		in := web("a")
		in.User, in.Password = "first", "1"
		registration, err := r.Register(t.Context(), in, 9*time.Second, discovery.SyncCredentials)
		require.NoError(t, err)
		require.NoError(t, registration.WaitReady(t.Context()))
		_, changes := registration.Credentials()
		time.Sleep(time.Second)
		f.lease.taken()
		f.lease.stands = []byte("{}")

		second := discovery.Credentials{User: "second", Password: "2"}
		inForce, err := r.SharedCredentials().ShareCredentials(t.Context(), "web", second, false)
		require.NoError(t, err)
		require.Equal(t, second, inForce)
		require.Equal(t, second, <-changes)
		synctest.Wait()
		require.Equal(t, []string{"update"}, f.lease.taken())
		require.Equal(t, second, f.lease.record.Instance.Credentials())

		in.User = "own"
		require.NoError(t, registration.Update(t.Context(), in))
		require.Equal(t, second, f.lease.record.Instance.Credentials(), "an update brings none of its own")
		kept, err := r.SharedCredentials().ShareCredentials(t.Context(), "web", discovery.Credentials{User: "third"}, true)
		require.NoError(t, err)
		require.Equal(t, second, kept)

		require.NoError(t, f.Put(t.Context(), "/x/credentials/web", []byte("nonsense"), 0))
		time.Sleep(time.Second)
		got, _ := registration.Credentials()
		require.Equal(t, second, got)
	})
}
