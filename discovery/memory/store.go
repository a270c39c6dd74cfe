package memory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// owner is the identity of a registration: only its address counts.
type owner struct{ _ byte }

// topic names something whose changes are followed.
type topic struct{ kind, name string }

// store is what registries of one name share.
type store struct {
	lock        sync.Mutex
	revision    int64
	away        bool // tests: nobody can reach it
	services    map[string]map[string]*entry
	values      map[string]*value
	credentials map[string]discovery.Credentials
	leaders     map[string]*leadership
	followers   map[topic]chan struct{}
}

type entry struct {
	instance discovery.Instance
	owner    *owner
	expiry   *expiry
}

type value struct {
	data   []byte
	expiry *expiry // nil: it stays
}

func newStore() *store {
	return &store{
		services:    map[string]map[string]*entry{},
		values:      map[string]*value{},
		credentials: map[string]discovery.Credentials{},
		leaders:     map[string]*leadership{},
		followers:   map[topic]chan struct{}{},
	}
}

// do runs f under the lock, if the store can be reached.
func (s *store) do(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.away {
		return discovery.Mark(discovery.ErrUnavailable, errors.New("the memory is away"))
	}
	return f()
}

// setAway makes the store unreachable, or reachable again, to everyone.
func (s *store) setAway(away bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.away = away
	for t := range s.followers {
		s.wake(t)
	}
}

// subscribe gives a channel that is closed at the topic's next change.
func (s *store) subscribe(t topic) <-chan struct{} {
	if s.followers[t] == nil {
		s.followers[t] = make(chan struct{})
	}
	return s.followers[t]
}

// changed counts a change and tells those who follow it.
func (s *store) changed(t topic) {
	s.revision++
	s.wake(t)
}

func (s *store) wake(t topic) {
	if ch := s.followers[t]; ch != nil {
		close(ch)
		delete(s.followers, t)
	}
}

// snapshot gives a service as a reader may have it: its own, deep copy.
func (s *store) snapshot(service string, q discovery.Query) discovery.Snapshot {
	entries, known := s.services[service]
	all := make([]discovery.Instance, 0, len(entries))
	for _, e := range entries {
		all = append(all, e.instance)
	}
	snapshot := discovery.NewSnapshot(service, strconv.FormatInt(s.revision, 10), q, all)
	for i := range snapshot.Instances {
		snapshot.Instances[i] = snapshot.Instances[i].Clone()
	}
	snapshot.Never = !known
	return snapshot
}

func (s *store) serviceNames() []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		if len(s.services[name]) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// put writes an instance that is gone after ttl.
func (s *store) put(in discovery.Instance, by *owner, ttl time.Duration) {
	s.remove(in.Service, in.ID)
	if s.services[in.Service] == nil {
		s.services[in.Service] = map[string]*entry{}
	}
	e := &entry{instance: in.Clone(), owner: by}
	e.expiry = s.expire(ttl, func() {
		if s.services[in.Service][in.ID] == e {
			s.remove(in.Service, in.ID)
			s.changed(topic{"service", in.Service})
		}
	})
	s.services[in.Service][in.ID] = e
	s.changed(topic{"service", in.Service})
}

// remove takes an instance away without telling; the service stays known.
func (s *store) remove(service, id string) {
	if e := s.services[service][id]; e != nil {
		e.expiry.timer.Stop()
		delete(s.services[service], id)
	}
}

// expiry is a moment that can be put off.
type expiry struct {
	deadline time.Time
	timer    *time.Timer
}

// expire runs f under the lock after ttl, unless put off.
func (s *store) expire(ttl time.Duration, f func()) *expiry {
	e := &expiry{deadline: time.Now().Add(ttl)}
	e.timer = time.AfterFunc(ttl, func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		if !time.Now().Before(e.deadline) {
			f()
		}
	})
	return e
}

// renew puts the moment off to ttl from now.
func (e *expiry) renew(ttl time.Duration) {
	e.deadline = time.Now().Add(ttl)
	e.timer.Reset(ttl)
}
