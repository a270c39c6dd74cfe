package etcd2

import (
	"context"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// source follows one feed, and a second one where what is watched stands at two keys.
type source[T any] struct {
	registry *registry
	feeds    []*feed
	view     func() T
	same     func(a, b T) bool // nil: every change of the feeds is one of the view

	started bool
	seen    []uint64 // versions of the feeds
	last    T
}

func newSource[T any](r *registry, view func() T, feeds ...*feed) *source[T] {
	return &source[T]{registry: r, feeds: feeds, view: view, seen: make([]uint64, len(feeds))}
}

// followKey follows one key; view gets nil when it is not there.
func followKey[T any](r *registry, op, name, key string, view func(*client.Node) T) *source[T] {
	f := r.feeds.acquire(op, name, key, false)
	return newSource(r, func() T { return view(f.node()) }, f)
}

func (s *source[T]) Read(ctx context.Context) (T, error) {
	var none T
	for i, f := range s.feeds {
		// another watch may have read it again
		if _, _, broken := f.state(); !s.started || broken != nil {
			if err := f.read(ctx); err != nil {
				return none, err
			}
		}
		s.seen[i] = f.seen()
	}
	s.started = true
	s.last = s.view()
	return s.last, nil
}

func (s *source[T]) Next(ctx context.Context) (T, error) {
	for {
		waiting, news, err := s.look()
		if err != nil {
			return s.last, err
		}
		if news {
			if view := s.view(); s.same == nil || !s.same(s.last, view) {
				s.last = view
				return view, nil
			}
			continue
		}
		select {
		case <-waiting[0]:
		case <-waiting[1]:
		case <-ctx.Done():
			return s.last, ctx.Err()
		}
	}
}

// look gives what to wait for, and whether there is news already, which a view taken then has.
func (s *source[T]) look() (waiting [2]<-chan struct{}, news bool, err error) {
	for i, f := range s.feeds {
		var told uint64
		told, waiting[i], err = f.state()
		if err != nil {
			return waiting, false, err
		}
		if told > s.seen[i] {
			s.seen[i], news = f.seen(), true
		}
	}
	return waiting, news, nil
}

func (s *source[T]) Close() {
	for _, f := range s.feeds {
		s.registry.feeds.release(f)
	}
}

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	const op = "watch service"
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return nil, r.fail(op, service, err)
	}
	keys, infoKey, err := r.infoKey(service)
	if err != nil {
		return nil, r.fail(op, service, err)
	}
	records := r.feeds.acquire(op, service, prefix, true)
	s := newSource(r, func() discovery.Snapshot { return records.snapshot(service, q) }, records)
	if infoKey != "" {
		info := r.feeds.acquire(op, service, infoKey, false)
		s = newSource(r, func() discovery.Snapshot {
			snapshot := records.snapshot(service, q)
			snapshot.Public = r.public(keys, service, info.node())
			return snapshot
		}, records, info)
	}
	if q.Shard != "" || len(q.Tags) > 0 {
		s.same = driver.SameInstances // most changes are not for this watch
	}
	return driver.WatchSnapshots(ctx, r.group, s, service, r.config.Log)
}
