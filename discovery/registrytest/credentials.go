package registrytest

import (
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// withCredentials is a public instance, as some layouts share only such instances' credentials.
func (s *suite) withCredentials(id string, number int, user string) discovery.Instance {
	in := s.instance("db", id, number)
	in.User, in.Public, in.PrivateHost = user, true, fmt.Sprintf("node-%s.internal", id)
	if user != "" {
		in.Password = discovery.Secret(secret + user)
	}
	return in
}

func (s *suite) needCredentials() {
	if s.Fit != nil {
		s.need("credentials", s.Fit(s.withCredentials("a", 1, "u")).User != "")
	}
}

// agreed waits until registrations and records have these credentials.
func (s *suite) agreed(registry discovery.Registry, user string, registrations ...discovery.Registration) {
	s.Helper()
	want := discovery.Credentials{User: user, Password: discovery.Secret(secret + user)}
	s.eventually(func() error {
		for _, registration := range registrations {
			if got, _ := registration.Credentials(); got != want {
				return fmt.Errorf("the registration %s has the user %q, not %q", registration.ID(), got.User, user)
			}
		}
		snapshot := s.read(registry, "db", discovery.Query{})
		if len(snapshot.Instances) != len(registrations) {
			return fmt.Errorf("%d instances, not %d", len(snapshot.Instances), len(registrations))
		}
		for _, in := range snapshot.Instances {
			if in.Credentials() != want {
				return fmt.Errorf("the record %s has the user %q, not %q", in.ID, in.User, user)
			}
		}
		return nil
	})
}

func sharedCredentials(s *suite) {
	s.needCredentials()
	registry, other := s.open(), s.open()
	a := s.register(registry, s.withCredentials("a", 1, "first"), discovery.SyncCredentials)
	s.agreed(registry, "first", a)
	b := s.register(other, s.withCredentials("b", 2, "second"), discovery.SyncCredentials)
	_, changes := a.Credentials()
	require.Equal(s, "second", receive(s, "change of credentials", changes).User)
	s.agreed(registry, "second", a, b)
	c := s.register(other, s.withCredentials("c", 3, ""), discovery.SyncCredentials)
	s.agreed(registry, "second", a, b, c)
	if s.Revoke != nil {
		s.Revoke(s, s.prefix)
		s.agreed(registry, "second", a, b, c)
		time.Sleep(s.ttl()) // a re-registration adopts, it does not bring its own back
		s.agreed(registry, "second", a, b, c)
	}
	s.noError(a.Update(s.ctx, s.withCredentials("a", 9, "own")))
	s.agreed(registry, "second", a, b, c)
}

// contendedCredentials: whoever wins, all agree.
func contendedCredentials(s *suite) {
	s.needCredentials()
	const count = 8
	reader := s.open()
	registrations := make([]discovery.Registration, count)
	var group sync.WaitGroup
	for i := range registrations {
		registry := s.open()
		group.Go(func() {
			in := s.withCredentials(fmt.Sprint(i), i+1, fmt.Sprint("user", i))
			registration, err := registry.Register(s.ctx, in, s.ttl(), discovery.SyncCredentials)
			if err == nil {
				err = registration.WaitReady(s.ctx)
			}
			if err != nil {
				s.Error(err)
				return
			}
			registrations[i] = registration
		})
	}
	group.Wait()
	require.NotContains(s, registrations, nil)
	s.eventually(func() error {
		winner, _ := registrations[0].Credentials()
		for _, registration := range registrations {
			if got, _ := registration.Credentials(); got != winner {
				return fmt.Errorf("they do not agree: %q and %q", winner.User, got.User)
			}
		}
		return nil
	})
	winner, _ := registrations[0].Credentials()
	s.agreed(reader, winner.User, registrations...)
}
