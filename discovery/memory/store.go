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

func (s *store) alone(ctx context.Context, f func(driver.Space) error) error {
	return s.do(ctx, func() error { return f(s) })
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

// Read is that of driver.Space, and so are Write, Extend, Remove and Changes.
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

// list gives a key, or all below a prefix.
func (s *store) list(key string) driver.Changes {
	c := driver.Changes{Whole: true, Revision: strconv.FormatInt(s.revision, 10)}
	if !strings.HasSuffix(key, "/") {
		item, _, _ := s.Read(key)
		c.Items = []driver.Item{item}
		return c
	}
	for _, one := range slices.Sorted(maps.Keys(s.entries)) {
		if strings.HasPrefix(one, key) {
			item, _, _ := s.Read(one)
			c.Items = append(c.Items, item)
		}
	}
	c.Never = !s.known[key]
	return c
}

func (s *store) List(ctx context.Context, prefix string) (c driver.Changes, err error) {
	err = s.do(ctx, func() error {
		c = s.list(prefix)
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
		c = s.list(s.key)
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
