package files

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

var errNotLeading = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		err = validKey(key)
	}
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail("lead for", name, err)
	}
	l := &leadership{registry: r, name: name, key: key, token: rand.Text(), ttl: ttl, done: make(chan struct{})}
	l.resign = sync.OnceValue(l.giveUp)
	l.life, l.end = context.WithCancel(context.Background())
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		err := l.stand(ctx)
		if err == nil {
			r.group.Go(l.life, l.keep)
			return l, nil
		}
		if !errors.Is(err, discovery.ErrConflict) && !errors.Is(err, discovery.ErrUnavailable) {
			return nil, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, r.fail("lead for", name, ctx.Err())
		}
	}
}

// leadership is a file that holds this process's token.
type leadership struct {
	registry *registry
	name     string
	key      string
	token    string
	ttl      time.Duration
	until    time.Time // when the file is gone, unless it is renewed

	life   context.Context
	end    context.CancelFunc
	done   chan struct{}
	resign func() error // does it once
}

// stand takes the lead if nobody has it.
func (l *leadership) stand(ctx context.Context) error {
	until := time.Now().Add(l.ttl)
	err := l.registry.do(ctx, "lead for", l.name, func(d *directory) error {
		f, err := d.read(l.key)
		switch {
		case err != nil:
			return err
		case f != nil:
			return errNotLeading
		}
		return d.put(l.key, []byte(l.token), until)
	})
	l.until = until
	return err
}

// fenced calls f if this process leads. Nobody else can lead before f is done.
func (l *leadership) fenced(ctx context.Context, op string, f func(*directory) error) error {
	return l.registry.do(ctx, op, l.name, func(d *directory) error {
		present, err := d.read(l.key)
		if err != nil {
			return err
		}
		if present == nil || string(present.data) != l.token {
			return errNotLeading
		}
		return f(d)
	})
}

// keep renews the lead until it is lost, or ended.
func (l *leadership) keep(ctx context.Context) {
	defer close(l.done)
	ticker := time.NewTicker(l.ttl / 3)
	defer ticker.Stop()
	for time.Now().Before(l.until) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			_ = l.resign()
			return
		}
		until := time.Now().Add(l.ttl)
		err := l.fenced(ctx, "lead for", func(d *directory) error { return d.renew(l.key, until) })
		switch {
		case err == nil:
			l.until = until
		case errors.Is(err, discovery.ErrConflict), errors.Is(err, discovery.ErrDenied):
			return
		}
	}
}

func (l *leadership) Put(ctx context.Context, value []byte) error {
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

func (l *leadership) Delete(ctx context.Context) error {
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

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	l.end()
	<-l.done
	return l.resign()
}

// giveUp removes the file if it is ours.
func (l *leadership) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	err := l.fenced(ctx, "resign from", func(d *directory) error { return d.remove(l.key) })
	if errors.Is(err, discovery.ErrConflict) {
		return nil
	}
	return err
}
