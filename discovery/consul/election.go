package consul

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// resignTimeout bounds resigning, whose caller may be a process that was told to end.
const resignTimeout = 2 * time.Second

var errNotLeading = discovery.Mark(discovery.ErrConflict, errors.New("this process leads no more"))

func (r *registry) Campaign(ctx context.Context, name string, ttl time.Duration) (discovery.Leadership, error) {
	const op = "lead for"
	key, err := r.keys.ElectionKey(name)
	if err == nil {
		ttl, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	l := newLeadership(r, name, plain(key), min(max(ttl, minSession), maxSession))
	holder := followKey(r, op, name, l.key, isKept)
	defer holder.Close()
	var backoff discovery.Backoff
	var rest pause // a key that nobody holds may be under the lock delay of a session that was not ours
	for {
		err := l.stand(ctx)
		if err == nil {
			r.group.Go(context.Background(), l.keep)
			return l, nil
		}
		if errors.Is(err, discovery.ErrConflict) { // there is a leader
			if err = l.vacant(ctx, holder); err == nil && rest.wait(ctx) == nil {
				continue
			}
		}
		if !errors.Is(err, discovery.ErrUnavailable) && ctx.Err() == nil {
			_ = l.resign()
			return nil, err
		}
		if backoff.Wait(ctx) != nil {
			_ = l.resign() // the last try may have been carried out
			return nil, r.fail(op, name, ctx.Err())
		}
		r.config.Log.Warn("cannot stand for election, trying again", "name", name, "error", err)
	}
}

// leadership is a key that this process's session holds.
type leadership struct {
	registry *registry
	name     string
	key      string
	ttl      time.Duration
	session  string
	until    time.Time // when the session may be gone, unless it is renewed

	life context.Context // ends with Close
	end  context.CancelFunc
	done chan struct{}

	resign func() error // does it once
}

func newLeadership(r *registry, name, key string, ttl time.Duration) *leadership {
	l := &leadership{registry: r, name: name, key: key, ttl: ttl, done: make(chan struct{})}
	l.resign = sync.OnceValue(l.giveUp)
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// stand takes the key if nobody has it; else the error matches ErrConflict.
func (l *leadership) stand(ctx context.Context) error {
	return l.prolong(ctx, func(ctx context.Context, client *client) error {
		if err := l.open(ctx, client); err != nil {
			return err
		}
		err := write(ctx, client, &api.KVTxnOp{Verb: api.KVLock, Key: l.key, Session: l.session})
		switch {
		case errors.Is(err, errNoSession):
			l.session = ""
			return discovery.Mark(discovery.ErrUnavailable, err)
		case errors.Is(err, errChanged): // another's lock: ours would be taken again
			return discovery.Mark(discovery.ErrConflict, err)
		}
		return err
	})
}

// open makes a session, unless there is one still.
func (l *leadership) open(ctx context.Context, client *client) error {
	if l.session != "" {
		there, err := renewSession(ctx, client, l.session)
		if err != nil || there {
			return err
		}
	}
	if err := l.registry.atHome(ctx, client); err != nil {
		return err
	}
	session, _, err := client.Session().Create(newSession(l.key, l.ttl), writing(ctx))
	l.session = session
	return err
}

// vacant waits until nobody leads. Its session goes on meanwhile, so that it need not make one for each try.
func (l *leadership) vacant(ctx context.Context, holder *source[bool]) error {
	held, err := holder.Read(ctx)
	for held && err == nil {
		waiting, cancel := context.WithTimeout(ctx, l.ttl/3)
		held, err = holder.Next(waiting)
		late := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case driver.IsGap(err):
			held, err = holder.Read(ctx)
		case late:
			held = true
			err = l.prolong(ctx, l.open)
		}
	}
	return err
}

func (l *leadership) prolong(ctx context.Context, how func(context.Context, *client) error) error {
	now := time.Now()
	_, err := call(ctx, l.registry, "lead for", l.name, func(ctx context.Context, client *client) (any, error) {
		return nil, how(ctx, client)
	})
	if err == nil {
		l.until = now.Add(l.ttl)
	}
	return err
}

// renew prolongs the session if the key is still its own; else the error matches ErrConflict.
func (l *leadership) renew(ctx context.Context, client *client) error {
	entry, err := read(client, l.key, strong(ctx))
	if err != nil {
		return err
	}
	if entry == nil || entry.Session != l.session {
		return errNotLeading
	}
	there, err := renewSession(ctx, client, l.session)
	if err == nil && !there {
		err = errNotLeading
	}
	return err
}

// keep prolongs the leadership until it is lost, or ended.
func (l *leadership) keep(ctx context.Context) {
	defer close(l.done)
	lost := followKey(l.registry, "lead for", l.name, l.key, func(entry *api.KVPair) bool {
		return entry != nil && entry.Session == l.session
	})
	defer lost.Close()
	ended := make(chan struct{}, 1)
	var watching sync.WaitGroup
	watched, cancel := context.WithCancel(ctx)
	watching.Go(func() { l.watch(watched, lost, ended) })
	defer watching.Wait()
	defer cancel()
	every := time.NewTicker(l.ttl / 3)
	defer every.Stop()
	for time.Now().Before(l.until) {
		select {
		case <-every.C:
		case <-ended:
		case <-l.life.Done():
			return
		case <-ctx.Done():
			_ = l.resign()
			return
		}
		limited, cancel := context.WithDeadline(ctx, l.until)
		err := l.prolong(limited, l.renew)
		cancel()
		if errors.Is(err, discovery.ErrConflict) || errors.Is(err, discovery.ErrDenied) {
			return
		}
	}
}

// watch tells once when the key is not this process's any more. In an outage the renewals tell.
func (l *leadership) watch(ctx context.Context, lost *source[bool], ended chan<- struct{}) {
	var backoff discovery.Backoff
	ours, err := lost.Read(ctx)
	for ctx.Err() == nil {
		switch {
		case err == nil && !ours:
			ended <- struct{}{}
			return
		case err == nil:
			ours, err = lost.Next(ctx)
			continue
		case !driver.IsGap(err) && backoff.Wait(ctx) != nil:
			return
		}
		ours, err = lost.Read(ctx)
	}
}

// write does one operation on the value if this process leads at that moment.
func (l *leadership) write(ctx context.Context, operations ...*api.KVTxnOp) error {
	fenced := append(api.KVTxnOps{{Verb: api.KVCheckSession, Key: l.key, Session: l.session}}, operations...)
	_, err := call(ctx, l.registry, "write, as its leader, value", l.name, func(ctx context.Context, client *client) (any, error) {
		err := write(ctx, client, fenced...)
		if errors.Is(err, errChanged) || errors.Is(err, errNoSession) {
			err = errNotLeading
		}
		return nil, err
	})
	return err
}

func (l *leadership) Put(ctx context.Context, value []byte) error {
	key, err := l.registry.valueKey(l.name)
	if err == nil {
		err = discovery.ValidValue(l.name, value)
	}
	if err != nil {
		return l.registry.fail("write value", l.name, err)
	}
	return l.write(ctx, replaceValue(key, value, "")...)
}

func (l *leadership) Delete(ctx context.Context) error {
	key, err := l.registry.valueKey(l.name)
	if err != nil {
		return l.registry.fail("delete value", l.name, err)
	}
	return l.write(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: key})
}

func (l *leadership) Done() <-chan struct{} { return l.done }

func (l *leadership) Close() error {
	l.end()
	<-l.done
	return l.resign()
}

// giveUp ends the session, and with it the key that it holds.
func (l *leadership) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
	defer cancel()
	_, err := call(ctx, l.registry, "resign from", l.name, func(ctx context.Context, client *client) (any, error) {
		return nil, endSession(ctx, client, l.session)
	})
	return err
}
