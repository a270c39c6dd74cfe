package memory

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// store is what registries of one name share.
type store struct {
	lock     sync.Mutex
	revision int64
	away     bool // tests: nobody can reach it
	entries  map[string]*entry
	known    map[string]bool // prefixes that something was written below
	changed  chan struct{}   // closed at the next change
}

// entry is what stands at a key.
type entry struct {
	value    []byte
	version  int64
	owner    string // empty: nobody's
	deadline time.Time
	timer    *time.Timer // nil: it stays
}

func newStore() *store {
	return &store{entries: map[string]*entry{}, known: map[string]bool{}, changed: make(chan struct{})}
}

// alone runs f under the lock, if the store can be reached.
func (s *store) alone(ctx context.Context, f func(driver.Space) error) error {
	if err := ctx.Err(); err != nil {
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.away {
		return discovery.Mark(discovery.ErrUnavailable, errors.New("the memory is unreachable"))
	}
	return f(s)
}

// setAway makes the store unreachable, or reachable again, to everyone.
func (s *store) setAway(away bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.away = away
	s.tell()
}

func (s *store) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Read is that of driver.Space, as all that follows is.
func (s *store) Read(key string) (driver.Item, string, error) {
	e := s.entries[key]
	if e == nil {
		return driver.Item{Key: key, Gone: true}, "", nil
	}
	return driver.Item{Key: key, Value: bytes.Clone(e.value), Version: driver.Version{e.version}}, e.owner, nil // the reader's own
}

func (s *store) Write(key string, value []byte, owner string, ttl time.Duration) error {
	s.stop(key)
	s.revision++
	s.entries[key] = &entry{value: append([]byte{}, value...), version: s.revision, owner: owner}
	s.known[key[:strings.LastIndex(key, "/")+1]] = true
	s.tell()
	if ttl == 0 {
		return nil
	}
	return s.Extend(key, ttl)
}

func (s *store) Extend(key string, ttl time.Duration) error {
	e := s.entries[key]
	e.deadline = time.Now().Add(ttl)
	if e.timer != nil {
		e.timer.Reset(ttl)
		return nil
	}
	e.timer = time.AfterFunc(ttl, func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		if s.entries[key] == e && !time.Now().Before(e.deadline) {
			_ = s.Remove(key)
		}
	})
	return nil
}

func (s *store) Remove(key string) error {
	s.stop(key)
	delete(s.entries, key)
	s.revision++
	s.tell()
	return nil
}

// stop keeps what stands at a key from going by itself.
func (s *store) stop(key string) {
	if e := s.entries[key]; e != nil && e.timer != nil {
		e.timer.Stop()
	}
}

func (s *store) Changes() int64 { return s.revision }

func (s *store) List(key string) (c driver.Changes, err error) {
	if !strings.HasSuffix(key, "/") {
		item, _, err := s.Read(key)
		c.Items = []driver.Item{item}
		return c, err
	}
	for _, one := range slices.Sorted(maps.Keys(s.entries)) {
		if strings.HasPrefix(one, key) {
			item, _, _ := s.Read(one)
			c.Items = append(c.Items, item)
		}
	}
	c.Never = !s.known[key]
	return c, nil
}

func (s *store) Wait() func(context.Context) error {
	changed := s.changed
	return func(ctx context.Context) error {
		select {
		case <-changed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
