package memory

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	err := discovery.ValidValueName(name)
	var data []byte
	if err == nil {
		err = r.store.do(ctx, func() error {
			v := r.store.values[name]
			if v == nil {
				return discovery.ErrNotFound
			}
			data = bytes.Clone(v.data)
			return nil
		})
	}
	return data, r.fail("read value", name, err)
}

func (r *registry) Put(ctx context.Context, name string, data []byte, ttl time.Duration) error {
	err := discovery.ValidValue(name, data)
	if err == nil && ttl < 0 {
		_, err = discovery.ValidTTL(ttl)
	}
	if err == nil {
		err = r.store.do(ctx, func() error {
			r.store.putValue(name, data, ttl)
			return nil
		})
	}
	return r.fail("write value", name, err)
}

func (r *registry) Delete(ctx context.Context, name string) error {
	err := discovery.ValidValueName(name)
	if err == nil {
		err = r.store.do(ctx, func() error {
			if r.store.values[name] == nil {
				return discovery.ErrNotFound
			}
			r.store.removeValue(name)
			return nil
		})
	}
	return r.fail("delete value", name, err)
}

func (r *registry) List(ctx context.Context) (names []string, err error) {
	err = r.store.do(ctx, func() error {
		names = slices.AppendSeq([]string{}, maps.Keys(r.store.values))
		slices.Sort(names)
		return nil
	})
	return names, r.fail("list values", "", err)
}

func (r *registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	if err := discovery.ValidValueName(name); err != nil {
		return nil, r.fail("watch value", name, err)
	}
	return driver.WatchValues(ctx, r.group, &source[discovery.Value]{
		registry: r,
		op:       "watch value",
		name:     name,
		topic:    topic{"value", name},
		read: func() discovery.Value {
			v := r.store.values[name]
			if v == nil {
				return discovery.Value{}
			}
			return discovery.Value{Data: bytes.Clone(v.data), Found: true}
		},
	}, name, r.config.Log)
}

// putValue writes a value that is gone after ttl, if that is not 0.
func (s *store) putValue(name string, data []byte, ttl time.Duration) {
	if old := s.values[name]; old != nil && old.expiry != nil {
		old.expiry.timer.Stop()
	}
	v := &value{data: append([]byte{}, data...)}
	if ttl > 0 {
		v.expiry = s.expire(ttl, func() {
			if s.values[name] == v {
				s.removeValue(name)
			}
		})
	}
	s.values[name] = v
	s.changed(topic{"value", name})
}

func (s *store) removeValue(name string) {
	if v := s.values[name]; v != nil && v.expiry != nil {
		v.expiry.timer.Stop()
	}
	delete(s.values, name)
	s.changed(topic{"value", name})
}

// leadership is being the one who leads for a value. In one process nobody dies, so it has no TTL.
type leadership struct {
	registry *registry
	name     string
	done     chan struct{}
}

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	err := discovery.ValidValueName(name)
	if err == nil {
		_, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail("lead for", name, err)
	}
	l := &leadership{registry: r, name: name, done: make(chan struct{})}
	var backoff discovery.Backoff
	for {
		vacant, err := l.try(ctx)
		switch {
		case err == nil && vacant == nil:
			r.group.Go(context.Background(), l.resignAtClose)
			return l, nil
		case err == nil:
			select {
			case <-vacant:
			case <-ctx.Done():
				return nil, r.fail("lead for", name, ctx.Err())
			}
		case !errors.Is(err, discovery.ErrUnavailable) || backoff.Wait(ctx) != nil:
			return nil, r.fail("lead for", name, err)
		}
	}
}

// try takes the lead, or gives a channel that is closed when the leader changes.
func (l *leadership) try(ctx context.Context) (vacant <-chan struct{}, err error) {
	store := l.registry.store
	err = store.do(ctx, func() error {
		if store.leaders[l.name] != nil {
			vacant = store.subscribe(topic{"leader", l.name})
			return nil
		}
		store.leaders[l.name] = l
		return nil
	})
	return vacant, err
}

func (l *leadership) resignAtClose(ctx context.Context) {
	select {
	case <-l.done:
	case <-ctx.Done():
		_ = l.Close()
	}
}

// fenced runs f if this is still the leader.
func (l *leadership) fenced(ctx context.Context, f func(*store)) error {
	store := l.registry.store
	return l.registry.fail("write, as its leader, value", l.name, store.do(ctx, func() error {
		if store.leaders[l.name] != l {
			return discovery.ErrConflict
		}
		f(store)
		return nil
	}))
}

func (l *leadership) Put(ctx context.Context, data []byte) error {
	if err := discovery.ValidValue(l.name, data); err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.fenced(ctx, func(s *store) { s.putValue(l.name, data, 0) })
}

func (l *leadership) Delete(ctx context.Context) error {
	return l.fenced(ctx, func(s *store) { s.removeValue(l.name) })
}

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	l.registry.store.depose(l.name, l)
	return nil
}

// depose ends a leadership, if it is the present one.
func (s *store) depose(name string, l *leadership) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if l == nil || s.leaders[name] != l {
		return
	}
	delete(s.leaders, name)
	close(l.done)
	s.changed(topic{"leader", name})
}
