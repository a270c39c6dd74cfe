package etcd2

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

var errNotLeading = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	l := newLeadership(r, name, key, seconds(ttl))
	holder := followKey(r, op, name, key, func(node *client.Node) bool { return node != nil })
	defer holder.Close()
	var backoff discovery.Backoff
	for {
		err := l.stand(ctx)
		if err == nil {
			r.group.Go(context.Background(), l.keep)
			return l, nil
		}
		if errors.Is(err, discovery.ErrConflict) { // there is a leader
			if err = vacant(ctx, holder); err == nil {
				continue
			}
		}
		if !errors.Is(err, discovery.ErrUnavailable) && ctx.Err() == nil {
			return nil, err
		}
		if backoff.Wait(ctx) != nil {
			_ = l.resign() // the last try may have been carried out
			return nil, r.fail(op, name, ctx.Err())
		}
		r.config.Log.Warn("cannot stand for election, trying again", "name", name, "error", err)
	}
}

// vacant waits until nobody leads.
func vacant(ctx context.Context, holder *source[bool]) error {
	held, err := holder.Read(ctx)
	for held && err == nil {
		if held, err = holder.Next(ctx); driver.IsGap(err) {
			held, err = holder.Read(ctx)
		}
	}
	return err
}

// leadership is a key with a TTL that holds this process's token.
type leadership struct {
	registry *registry
	name     string
	key      string
	token    string
	ttl      time.Duration
	until    time.Time // when the key is gone, unless it is prolonged

	life context.Context // ends with Close
	end  context.CancelFunc
	done chan struct{}

	resign func() error // does it once
}

func newLeadership(r *registry, name, key string, ttl time.Duration) *leadership {
	l := &leadership{registry: r, name: name, key: key, token: rand.Text(), ttl: ttl, done: make(chan struct{})}
	l.resign = sync.OnceValue(l.giveUp)
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// stand takes the key if nobody has it; else the error matches ErrConflict.
func (l *leadership) stand(ctx context.Context) error {
	return l.prolong(ctx, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, l.key, l.token, &client.SetOptions{TTL: l.ttl, PrevExist: client.PrevNoExist})
		if refused(err, client.ErrorCodeNodeExist) {
			return l.refresh(ctx, keys) // it may be ours, by a call that had no answer
		}
		return err
	})
}

// refresh prolongs the key if it is ours; else the error matches ErrConflict.
func (l *leadership) refresh(ctx context.Context, keys client.KeysAPI) error {
	_, err := keys.Set(ctx, l.key, "", &client.SetOptions{Refresh: true, TTL: l.ttl, PrevValue: l.token})
	if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
		return errNotLeading
	}
	return err
}

func (l *leadership) prolong(ctx context.Context, how func(context.Context, client.KeysAPI) error) error {
	now := time.Now()
	_, err := call(ctx, l.registry, "lead for", l.name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		return nil, how(ctx, keys)
	})
	if err == nil {
		l.until = now.Add(l.ttl)
	}
	return err
}

// keep prolongs the leadership until it is lost, or ended.
func (l *leadership) keep(ctx context.Context) {
	defer close(l.done)
	every := time.NewTicker(l.ttl / 3)
	defer every.Stop()
	for time.Now().Before(l.until) {
		select {
		case <-every.C:
		case <-l.life.Done():
			return
		case <-ctx.Done():
			_ = l.resign()
			return
		}
		limited, cancel := context.WithDeadline(ctx, l.until)
		err := l.prolong(limited, l.refresh)
		cancel()
		if errors.Is(err, discovery.ErrConflict) || errors.Is(err, discovery.ErrDenied) {
			return
		}
	}
}

// write changes the value if this process leads at that moment. What happens between the two is not seen.
func (l *leadership) write(ctx context.Context, change func(context.Context, client.KeysAPI) error) error {
	_, err := call(ctx, l.registry, "write, as its leader, value", l.name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		node, err := own(ctx, keys, l.key)
		if err != nil {
			return nil, err
		}
		if node == nil || node.Value != l.token {
			return nil, errNotLeading
		}
		return nil, change(ctx, keys)
	})
	return err
}

func (l *leadership) Put(ctx context.Context, value []byte) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.write(ctx, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, key, encodeValue(value), nil)
		return err
	})
}

func (l *leadership) Delete(ctx context.Context) error {
	key, err := l.registry.layout.ValueKey(l.name)
	if err != nil {
		return l.registry.fail("delete value", l.name, err)
	}
	return l.write(ctx, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Delete(ctx, key, nil)
		if refused(err, client.ErrorCodeKeyNotFound) {
			return nil
		}
		return err
	})
}

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	l.end()
	<-l.done
	return l.resign()
}

// giveUp removes the key, if it is ours.
func (l *leadership) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	_, err := call(ctx, l.registry, "resign from", l.name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		_, err := keys.Delete(ctx, l.key, &client.DeleteOptions{PrevValue: l.token})
		if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
			return nil, nil
		}
		return nil, err
	})
	return err
}
