package consul

import (
	"bytes"
	"context"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

func (r *registry) Watch(ctx context.Context, name string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	if _, err := r.newService(name); err != nil {
		return nil, r.fail("watch service", name, err)
	}
	followed := acquire(r.feeds, "service "+name, func() *service {
		s, _ := r.newService(name)
		return s
	})
	view := func() discovery.Snapshot { return followed.snapshot(q) }
	return driver.WatchSnapshots(ctx, r.group, follow(r, followed.feed, view), name, r.config.Log)
}

// source is a feed as one watch sees it. It implements driver.Source.
type source[T any] struct {
	registry *registry
	feed     *feed
	view     func() T
	seen     uint64
}

// follow gives the source of a feed that was acquired; its Close releases the feed.
func follow[T any](r *registry, f *feed, view func() T) *source[T] {
	return &source[T]{registry: r, feed: f, view: view}
}

func (s *source[T]) Read(ctx context.Context) (T, error) {
	if err := s.feed.read(ctx); err != nil {
		var none T
		return none, err
	}
	s.seen, _, _ = s.feed.state()
	return s.view(), nil
}

func (s *source[T]) Next(ctx context.Context) (T, error) {
	for {
		version, changed, broken := s.feed.state()
		if broken != nil {
			var none T
			return none, broken
		}
		if version != s.seen {
			s.seen = version
			return s.view(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (s *source[T]) Close() { s.registry.feeds.release(s.feed) }

// single is one key of the KV store.
type single struct {
	*feed
	entryKey string
	entry    *api.KVPair // nil: there is none
}

func (s *single) follows() *feed { return s.feed }

// followKey gives a source of what decode makes of one key; it gets nil when there is none.
func followKey[T any](r *registry, op, name, key string, decode func(*api.KVPair) T) *source[T] {
	followed := acquire(r.feeds, "key "+key, func() *single {
		s := &single{feed: newFeed(r, op, name), entryKey: key}
		s.ask(s.query)
		return s
	})
	return follow(r, followed.feed, func() T { return decode(followed.get()) })
}

func (s *single) get() *api.KVPair {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.entry
}

func (s *single) query(ctx context.Context, client *client, q *api.QueryOptions) (func() bool, uint64, error) {
	entries, meta, err := client.KV().List(listed(s.entryKey), q)
	if err != nil {
		return nil, 0, err
	}
	var found *api.KVPair
	for _, entry := range entries {
		if entry.Key == s.entryKey {
			found = entry
		}
	}
	if found == nil && (q.WaitIndex == 0 || s.get() != nil) {
		if _, err := read(client, s.entryKey, s.registry.reading(ctx)); err != nil {
			return nil, 0, err // it may not be read
		}
	}
	return func() bool {
		same := found == nil && s.entry == nil || found != nil && s.entry != nil &&
			found.ModifyIndex == s.entry.ModifyIndex && bytes.Equal(found.Value, s.entry.Value)
		s.entry = found
		return !same
	}, meta.LastIndex, nil
}
