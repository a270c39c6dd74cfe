package memory

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// owner is the identity of a registration or a candidate: only its address counts.
type owner struct{ _ byte }

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
	owner    *owner // nil: nobody's
	deadline time.Time
	timer    *time.Timer // nil: it stays
}

func newStore() *store {
	return &store{entries: map[string]*entry{}, known: map[string]bool{}, changed: make(chan struct{})}
}

// do runs f under the lock, if the store can be reached.
func (s *store) do(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return discovery.Mark(discovery.ErrUnavailable, err)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.away {
		return discovery.Mark(discovery.ErrUnavailable, errors.New("the memory is unreachable"))
	}
	return f()
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

// put writes a key that is gone after ttl, if that is not 0.
func (s *store) put(key string, value []byte, by *owner, ttl time.Duration) {
	s.stop(key)
	s.revision++
	e := &entry{value: append([]byte{}, value...), version: s.revision, owner: by}
	if ttl > 0 {
		s.extend(key, e, ttl)
	}
	s.entries[key] = e
	s.known[key[:strings.LastIndex(key, "/")+1]] = true
	s.tell()
}

// extend lets an entry go at ttl from now.
func (s *store) extend(key string, e *entry, ttl time.Duration) {
	e.deadline = time.Now().Add(ttl)
	if e.timer != nil {
		e.timer.Reset(ttl)
		return
	}
	e.timer = time.AfterFunc(ttl, func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		if s.entries[key] == e && !time.Now().Before(e.deadline) {
			s.remove(key)
		}
	})
}

// remove takes a key away and reports whether it was there.
func (s *store) remove(key string) bool {
	if s.entries[key] == nil {
		return false
	}
	s.stop(key)
	delete(s.entries, key)
	s.revision++
	s.tell()
	return true
}

// stop keeps what stands at a key from going by itself.
func (s *store) stop(key string) {
	if e := s.entries[key]; e != nil && e.timer != nil {
		e.timer.Stop()
	}
}

// item gives what stands at a key, as the reader's own.
func (s *store) item(key string) driver.Item {
	e := s.entries[key]
	if e == nil {
		return driver.Item{Key: key, Gone: true}
	}
	return driver.Item{Key: key, Value: bytes.Clone(e.value), Version: driver.Version{e.version}}
}

// read gives a key, or all below a prefix.
func (s *store) read(key string) driver.Changes {
	c := driver.Changes{Whole: true, Revision: strconv.FormatInt(s.revision, 10)}
	if !strings.HasSuffix(key, "/") {
		c.Items = []driver.Item{s.item(key)}
		return c
	}
	for _, one := range slices.Sorted(maps.Keys(s.entries)) {
		if strings.HasPrefix(one, key) {
			c.Items = append(c.Items, s.item(one))
		}
	}
	c.Never = !s.known[key]
	return c
}

func (s *store) Get(ctx context.Context, key string, _ bool) (item driver.Item, err error) {
	err = s.do(ctx, func() error {
		item = s.item(key)
		return nil
	})
	return item, err
}

func (s *store) List(ctx context.Context, prefix string) (c driver.Changes, err error) {
	err = s.do(ctx, func() error {
		c = s.read(prefix)
		return nil
	})
	return c, err
}

func (s *store) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.do(ctx, func() error {
		for key := range s.entries {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		return nil
	})
	return keys, err
}

func (s *store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.do(ctx, func() error {
		s.put(key, value, nil, ttl)
		return nil
	})
}

func (s *store) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	err = s.do(ctx, func() error {
		now := s.item(was.Key)
		if swapped = now.Gone == was.Gone && now.Version == was.Version; swapped {
			s.put(was.Key, value, nil, 0)
		}
		return nil
	})
	return swapped, err
}

func (s *store) Delete(ctx context.Context, key string) (found bool, err error) {
	err = s.do(ctx, func() error {
		found = s.remove(key)
		return nil
	})
	return found, err
}

func (s *store) Follow(key string) driver.Source { return &source{store: s, key: key} }

// source looks at a place again when anything has changed.
type source struct {
	*store
	key     string
	changed <-chan struct{}
}

func (s *source) Read(ctx context.Context) (c driver.Changes, err error) {
	err = s.do(ctx, func() error {
		s.changed = s.store.changed
		c = s.read(s.key)
		return nil
	})
	return c, err
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	select {
	case <-s.changed:
		return s.Read(ctx)
	case <-ctx.Done():
		return driver.Changes{}, ctx.Err()
	}
}

func (s *source) Close() {}
