package files

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		err = validKey(key)
	}
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	s := &seat{registry: r, name: name, key: key, token: rand.Text(), ttl: ttl}
	tenure, err := driver.Campaign(ctx, r.group, s, name, ttl, r.config.Log)
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	return leadership{tenure, s}, nil
}

// seat is a file that holds its leader's token.
type seat struct {
	registry *registry
	name     string
	key      string
	token    string
	ttl      time.Duration
}

func (s *seat) Take(ctx context.Context) error {
	return s.registry.do(ctx, "lead for", s.name, func(d *directory) error {
		f, err := d.read(s.key)
		switch {
		case err != nil:
			return err
		case f != nil && string(f.data) != s.token:
			return driver.ErrNotLeading
		}
		return d.put(s.key, []byte(s.token), time.Now().Add(s.ttl))
	})
}

func (s *seat) Vacant(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for held := true; held; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := s.registry.do(ctx, "lead for", s.name, func(d *directory) error {
			f, err := d.read(s.key)
			held = f != nil
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *seat) Prolong(ctx context.Context) error {
	return s.fenced(ctx, "lead for", func(d *directory) error { return d.renew(s.key, time.Now().Add(s.ttl)) })
}

func (s *seat) Resign(ctx context.Context) error {
	err := s.fenced(ctx, "resign from", func(d *directory) error { return d.remove(s.key) })
	if errors.Is(err, discovery.ErrConflict) {
		return nil
	}
	return err
}

// fenced calls f if this process leads. Nobody else can lead before f is done.
func (s *seat) fenced(ctx context.Context, op string, f func(*directory) error) error {
	return s.registry.do(ctx, op, s.name, func(d *directory) error {
		present, err := d.read(s.key)
		if err != nil {
			return err
		}
		if present == nil || string(present.data) != s.token {
			return driver.ErrNotLeading
		}
		return f(d)
	})
}

// leadership writes the value while its seat is this process's.
type leadership struct {
	*driver.Tenure
	*seat
}

func (l leadership) Put(ctx context.Context, value []byte) error {
	const op = "write, as its leader, value"
	key, err := l.registry.layout.ValueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail(op, l.name, err)
	}
	return l.fenced(ctx, op, func(d *directory) error { return d.put(key, value, forever) })
}

func (l leadership) Delete(ctx context.Context) error {
	const op = "delete, as its leader, value"
	key, err := l.registry.layout.ValueKey(l.name)
	if err != nil {
		return l.registry.fail(op, l.name, err)
	}
	return l.fenced(ctx, op, func(d *directory) error {
		if f, err := d.read(key); f == nil {
			return err
		}
		return d.remove(key)
	})
}
