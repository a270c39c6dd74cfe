package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// many instances, all seen by many watches, and all gone with their registry.
func many(s *suite) {
	s.calm = true
	registry, reader := s.open(), s.open()
	watchers := make([]*watcher, s.Watchers)
	for i := range watchers {
		watchers[i] = s.startWatcher(&watcher{light: i > 0}, reader, "web", discovery.Query{})
	}
	const ttl = time.Minute // the test is of numbers, not of renewals on a machine that is busy with it
	registrations := make([]discovery.Registration, s.Count)
	for i := range registrations {
		in := s.instance("web", fmt.Sprintf("i%04d", i), i+1)
		in.Password = secret
		registration, err := registry.Register(s.ctx, in, ttl)
		s.noError(err)
		registrations[i] = registration
	}
	want := make([]string, s.Count)
	ctx, cancel := context.WithTimeout(s.ctx, 5*patience) // for all of them
	defer cancel()
	for i, registration := range registrations {
		s.noError(registration.WaitReady(ctx))
		want[i] = registration.ID()
	}
	slices.Sort(want)
	require.Equal(s, want, ids(s.read(reader, "web", discovery.Query{})))
	for _, w := range watchers {
		w.await(want...)
	}
	// A withdrawal has two seconds, too few for a thousand at once on a busy machine, which then has to wait for the TTL.
	for some := range slices.Chunk(registrations[s.Count/10:], 50) {
		s.closeAll(some)
	}
	s.noError(registry.Close())
	for _, w := range watchers {
		w.await()
	}
}

func (s *suite) closeAll(registrations []discovery.Registration) {
	var group sync.WaitGroup
	defer group.Wait()
	for _, registration := range registrations {
		group.Go(func() {
			if err := registration.Close(); err != nil && !errors.Is(err, discovery.ErrUnavailable) {
				s.Error(err)
			}
		})
	}
}

// insist repeats a call whose time was over on a busy machine, before the server had answered.
func (s *suite) insist(call func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err := call(); !errors.Is(err, discovery.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
	}
}

// churn: registrations come, change and go in several registries at once; in the end every watch holds
// the truth, and none ever ran backwards.
func churn(s *suite) {
	const workers, rounds, count = 8, 12, 20
	s.calm = true
	reader := s.open()
	watchers := make([]*watcher, count)
	for i := range watchers {
		watchers[i] = s.watch(reader, "web", discovery.Query{})
	}
	var lock sync.Mutex
	var truth []string
	var group sync.WaitGroup
	for worker := range workers {
		registry := s.open()
		group.Go(func() {
			for round := range rounds {
				id := fmt.Sprintf("%d-%02d", worker, round)
				registration, err := registry.Register(s.ctx, s.instance("web", id, 1), time.Minute)
				if err == nil {
					err = registration.WaitReady(s.ctx)
				}
				for n := 2; n < 6 && err == nil; n++ {
					err = s.insist(func() error { return registration.Update(s.ctx, s.instance("web", id, n)) })
				}
				if err == nil && round%4 != 0 {
					if err = registration.Close(); errors.Is(err, discovery.ErrUnavailable) {
						err = nil // its TTL ends it
					}
				} else if err == nil {
					lock.Lock()
					truth = append(truth, registration.ID())
					lock.Unlock()
				}
				if err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	require.Len(s, truth, workers*rounds/4)
	for _, w := range watchers {
		w.await(truth...)
		s.eventually(func() error { return w.holdsNumber(5) }) // the last update may come after the last ID
	}
}
