package etcd2

import (
	"context"
	"crypto/rand"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.layout.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	s := &seat{registry: r, name: name, key: key, token: rand.Text(), ttl: seconds(ttl)}
	s.holder = followKey(r, op, name, key, func(node *client.Node) bool { return node != nil })
	defer s.holder.Close()
	tenure, err := driver.Campaign(ctx, r.group, s, name, s.ttl, r.config.Log)
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	return leadership{tenure, s}, nil
}

// seat is a key with a TTL that holds its leader's token.
type seat struct {
	registry *registry
	name     string
	key      string
	token    string
	ttl      time.Duration
	holder   *source[bool] // whether there is one
}

func (s *seat) Take(ctx context.Context) error {
	return s.do(ctx, "lead for", func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, s.key, s.token, &client.SetOptions{TTL: s.ttl, PrevExist: client.PrevNoExist})
		if refused(err, client.ErrorCodeNodeExist) {
			return s.refresh(ctx, keys) // it may be ours, by a call that had no answer
		}
		return err
	})
}

func (s *seat) Vacant(ctx context.Context) error {
	held, err := s.holder.Read(ctx)
	for held && err == nil {
		if held, err = s.holder.Next(ctx); driver.IsGap(err) {
			held, err = s.holder.Read(ctx)
		}
	}
	return err
}

func (s *seat) Prolong(ctx context.Context) error { return s.do(ctx, "lead for", s.refresh) }

// refresh prolongs the key if it is ours; else the error matches ErrConflict.
func (s *seat) refresh(ctx context.Context, keys client.KeysAPI) error {
	_, err := keys.Set(ctx, s.key, "", &client.SetOptions{Refresh: true, TTL: s.ttl, PrevValue: s.token})
	if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
		return driver.ErrNotLeading
	}
	return err
}

func (s *seat) Resign(ctx context.Context) error {
	return s.do(ctx, "resign from", func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Delete(ctx, s.key, &client.DeleteOptions{PrevValue: s.token})
		if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
			return nil
		}
		return err
	})
}

func (s *seat) do(ctx context.Context, op string, f func(context.Context, client.KeysAPI) error) error {
	_, err := call(ctx, s.registry, op, s.name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		return nil, f(ctx, keys)
	})
	return err
}

// leadership writes the value while its seat is this process's.
type leadership struct {
	*driver.Tenure
	*seat
}

// write changes the value if this process leads at that moment. What happens between the two is not seen.
func (l leadership) write(ctx context.Context, change func(context.Context, client.KeysAPI) error) error {
	return l.do(ctx, "write, as its leader, value", func(ctx context.Context, keys client.KeysAPI) error {
		node, err := own(ctx, keys, l.key)
		if err != nil {
			return err
		}
		if node == nil || node.Value != l.token {
			return driver.ErrNotLeading
		}
		return change(ctx, keys)
	})
}

func (l leadership) Put(ctx context.Context, value []byte) error {
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

func (l leadership) Delete(ctx context.Context) error {
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
