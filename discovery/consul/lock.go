package consul

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/consul/internal/agent"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/internal/backoff"
)

// lock is a key that its owner's session holds.
type lock struct {
	backend *backend
	key     string
	ttl     time.Duration
	session string
	rest    backoff.Delay // a key that nobody holds may be under the lock delay of a session that was not ours
	lost    chan struct{} // receives when another has it, or nobody
	end     context.CancelFunc
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{backend: b, key: plain(key), ttl: min(max(ttl, minSession), maxSession), rest: soon, lost: make(chan struct{}, 1), end: func() {}}
}

// Lost receives when the key is held by us no more. In an outage the renewals tell.
func (l *lock) Lost() <-chan struct{} { return l.lost }

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	grant := driver.Grant{TTL: l.ttl}
	err := agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		if err := l.open(ctx, client); err != nil {
			return err
		}
		results, err := transact(client, agent.Strong(ctx), &api.KVTxnOp{Verb: api.KVLock, Key: l.key, Session: l.session})
		switch {
		case err == nil && len(results) == 1 && results[0].KV != nil:
			grant.Token = int64(results[0].KV.ModifyIndex)
		case errors.Is(err, errNoSession):
			l.session = ""
			return discovery.Mark(discovery.ErrUnavailable, err)
		case errors.Is(err, errChanged): // another's lock: ours would be taken again
			return discovery.Mark(discovery.ErrConflict, err)
		}
		return err
	})
	if err == nil {
		var watching context.Context
		watching, l.end = context.WithCancel(context.Background())
		session := l.session
		l.backend.registry.Go(watching, func(ctx context.Context) { l.watch(ctx, session) })
	}
	return grant, err
}

// watch tells when the session has the key no more.
func (l *lock) watch(ctx context.Context, session string) {
	var backoff discovery.Backoff
	for {
		err := l.backend.registry.Await(ctx, "/"+l.key, func(item driver.Item) bool { return sessionOf(item) != session })
		if err == nil {
			l.lost <- struct{}{}
			return
		}
		if backoff.Wait(ctx) != nil {
			return
		}
	}
}

// sessionOf is the session that holds a key; "" when none does.
func sessionOf(item driver.Item) string {
	if item.Gone {
		return ""
	}
	return item.Note.(*api.KVPair).Session
}

// open makes a session, unless there is one still. It ends by its TTL alone: an owner whose agent the others take for
// failed, and that may not know it yet, has its lock as long as it was promised.
func (l *lock) open(ctx context.Context, client *agent.Client) error {
	if l.session != "" {
		there, err := renewSession(ctx, client, l.session)
		if err != nil || there {
			return err
		}
	}
	if err := l.backend.AtHome(ctx, client); err != nil {
		return err
	}
	session, _, err := client.Session().CreateNoChecks(newSession(l.key, l.ttl), agent.Writing(ctx))
	l.session = session
	return err
}

// WaitReleased keeps the session up meanwhile, so that it need not make one for each try.
func (l *lock) WaitReleased(ctx context.Context) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, l.ttl/3)
		err := l.backend.registry.Await(waiting, "/"+l.key, func(item driver.Item) bool { return sessionOf(item) == "" })
		late := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		if late {
			err = agent.Do(ctx, l.backend.Agent, l.open)
		}
		switch {
		case err != nil:
			return err
		case !late:
			return l.rest.Wait(ctx)
		}
	}
}

func (l *lock) Renew(ctx context.Context) error {
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		entry, err := read(client, l.key, agent.Strong(ctx))
		if err != nil {
			return err
		}
		if entry == nil || entry.Session != l.session {
			return driver.ErrNotLeading
		}
		there, err := renewSession(ctx, client, l.session)
		if err == nil && !there {
			err = driver.ErrNotLeading
		}
		return err
	})
}

// Release ends the session, and with it the key that it holds.
func (l *lock) Release(ctx context.Context) error {
	l.end()
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error { return endSession(ctx, client, l.session) })
}

// fenced does something if this process leads at that moment.
func (l *lock) fenced(ctx context.Context, operations ...*api.KVTxnOp) error {
	operations = append(api.KVTxnOps{{Verb: api.KVCheckSession, Key: l.key, Session: l.session}}, operations...)
	return agent.Do(ctx, l.backend.Agent, func(ctx context.Context, client *agent.Client) error {
		err := write(ctx, client, operations...)
		if errors.Is(err, errChanged) || errors.Is(err, errNoSession) {
			err = driver.ErrNotLeading
		}
		return err
	})
}

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.fenced(ctx, replaceValue(plain(key), value, "")...)
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.fenced(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: plain(key)})
}
