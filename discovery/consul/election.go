package consul

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.keys.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	s := &seat{registry: r, name: name, key: plain(key), ttl: min(max(ttl, minSession), maxSession)}
	s.holder = followKey(r, op, name, s.key, isKept)
	defer s.holder.Close()
	tenure, err := driver.Campaign(ctx, r.group, s, name, s.ttl, r.config.Log)
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	return leadership{tenure, s}, nil
}

// seat is a key that its leader's session holds.
type seat struct {
	registry *registry
	name     string
	key      string
	ttl      time.Duration
	session  string
	holder   *source[bool] // whether there is one
	rest     pause         // a key that nobody holds may be under the lock delay of a session that was not ours
}

func (s *seat) Take(ctx context.Context) error {
	return s.do(ctx, "lead for", func(ctx context.Context, client *client) error {
		if err := s.open(ctx, client); err != nil {
			return err
		}
		err := write(ctx, client, &api.KVTxnOp{Verb: api.KVLock, Key: s.key, Session: s.session})
		switch {
		case errors.Is(err, errNoSession):
			s.session = ""
			return discovery.Mark(discovery.ErrUnavailable, err)
		case errors.Is(err, errChanged): // another's lock: ours would be taken again
			return discovery.Mark(discovery.ErrConflict, err)
		}
		return err
	})
}

// open makes a session, unless there is one still.
func (s *seat) open(ctx context.Context, client *client) error {
	if s.session != "" {
		there, err := renewSession(ctx, client, s.session)
		if err != nil || there {
			return err
		}
	}
	if err := s.registry.atHome(ctx, client); err != nil {
		return err
	}
	session, _, err := client.Session().Create(newSession(s.key, s.ttl), writing(ctx))
	s.session = session
	return err
}

// Vacant keeps the session up meanwhile, so that it need not make one for each try.
func (s *seat) Vacant(ctx context.Context) error {
	held, err := s.holder.Read(ctx)
	for held && err == nil {
		waiting, cancel := context.WithTimeout(ctx, s.ttl/3)
		held, err = s.holder.Next(waiting)
		late := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case driver.IsGap(err):
			held, err = s.holder.Read(ctx)
		case late:
			held = true
			err = s.do(ctx, "lead for", s.open)
		}
	}
	if err != nil {
		return err
	}
	return s.rest.wait(ctx)
}

func (s *seat) Prolong(ctx context.Context) error {
	return s.do(ctx, "lead for", func(ctx context.Context, client *client) error {
		entry, err := read(client, s.key, strong(ctx))
		if err != nil {
			return err
		}
		if entry == nil || entry.Session != s.session {
			return driver.ErrNotLeading
		}
		there, err := renewSession(ctx, client, s.session)
		if err == nil && !there {
			err = driver.ErrNotLeading
		}
		return err
	})
}

// Watch follows the key. In an outage the renewals tell.
func (s *seat) Watch(ctx context.Context) (lost bool) {
	key := followKey(s.registry, "lead for", s.name, s.key, func(entry *api.KVPair) bool {
		return entry != nil && entry.Session == s.session
	})
	defer key.Close()
	var backoff discovery.Backoff
	ours, err := key.Read(ctx)
	for ctx.Err() == nil {
		switch {
		case err == nil && !ours:
			return true
		case err == nil:
			ours, err = key.Next(ctx)
			continue
		case !driver.IsGap(err) && backoff.Wait(ctx) != nil:
			return false
		}
		ours, err = key.Read(ctx)
	}
	return false
}

// Resign ends the session, and with it the key that it holds.
func (s *seat) Resign(ctx context.Context) error {
	return s.do(ctx, "resign from", func(ctx context.Context, client *client) error {
		return endSession(ctx, client, s.session)
	})
}

func (s *seat) do(ctx context.Context, op string, f func(context.Context, *client) error) error {
	_, err := call(ctx, s.registry, op, s.name, func(ctx context.Context, client *client) (any, error) {
		return nil, f(ctx, client)
	})
	return err
}

// leadership writes the value while its seat is this process's.
type leadership struct {
	*driver.Tenure
	*seat
}

// write does one operation on the value if this process leads at that moment.
func (l leadership) write(ctx context.Context, operations ...*api.KVTxnOp) error {
	fenced := append(api.KVTxnOps{{Verb: api.KVCheckSession, Key: l.key, Session: l.session}}, operations...)
	return l.do(ctx, "write, as its leader, value", func(ctx context.Context, client *client) error {
		err := write(ctx, client, fenced...)
		if errors.Is(err, errChanged) || errors.Is(err, errNoSession) {
			err = driver.ErrNotLeading
		}
		return err
	})
}

func (l leadership) Put(ctx context.Context, value []byte) error {
	key, err := l.registry.valueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.write(ctx, replaceValue(key, value, "")...)
}

func (l leadership) Delete(ctx context.Context) error {
	key, err := l.registry.valueKey(l.name)
	if err != nil {
		return l.registry.fail("delete value", l.name, err)
	}
	return l.write(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: key})
}
