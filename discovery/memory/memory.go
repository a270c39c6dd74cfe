// Package memory is the engine memory://NAME: a registry within this process, for tests. Registries of the
// same name share what they hold, which lasts as long as the process; nothing is written anywhere.
//
// It is a whole engine and passes the suite of all engines: TTLs run out, watches follow, credentials are
// shared, a leader is alone.
package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// Engine is memory://NAME.
var Engine = discovery.Engine{
	Scheme: "memory",
	Help:   "memory://NAME: in this process, for tests.",
	Promises: discovery.Promises{
		Death:     "Gone when its TTL runs out.",
		Partition: "There is none.",
		Director:  "One at a time, each write fenced.",
		Limits:    "Nothing outlives the process, and no other sees it.",
	},
	Layouts:  []string{"native"},
	Validate: validate,
	Check:    func(context.Context, discovery.Config) error { return nil },
	Open:     open,
}

func validate(config discovery.Config) error {
	if len(config.Hosts) > 1 {
		return discovery.Mark(discovery.ErrInvalid, errors.New("memory has one NAME"))
	}
	return nil
}

// stores are the memories by name.
var stores = struct {
	lock   sync.Mutex
	byName map[string]*store
}{byName: map[string]*store{}}

// storeOf gives the store that a URL names.
func storeOf(config discovery.Config) *store {
	name := config.Prefix
	if len(config.Hosts) > 0 {
		name = config.Hosts[0] + "/" + name
	}
	stores.lock.Lock()
	defer stores.lock.Unlock()
	if stores.byName[name] == nil {
		stores.byName[name] = newStore()
	}
	return stores.byName[name]
}

func open(_ context.Context, config discovery.Config) (discovery.Registry, error) {
	b := &backend{store: storeOf(config)}
	b.registry = driver.Open(config, layout.Native(""), b, 0)
	return b.registry, nil
}

// backend is one opening of a store.
type backend struct {
	*store
	registry *driver.Registry
}

func (b *backend) Hint(error) string { return "" }
func (b *backend) Close() error      { return nil }

func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	return &lease{store: b.store, owner: new(owner), ttl: ttl}
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{registry: b.registry, lease: lease{store: b.store, owner: new(owner), ttl: ttl, key: key}}
}

// lease is one registration's entry.
type lease struct {
	*store
	owner *owner
	ttl   time.Duration
	key   string
}

func (l *lease) Announce(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	l.key = record.Key
	return driver.Grant{TTL: l.ttl}, l.do(ctx, func() error {
		if _, err := l.own(); err == discovery.ErrConflict && !takeOver {
			return err
		}
		l.put(l.key, record.Value, l.owner, l.ttl)
		return nil
	})
}

func (l *lease) Renew(ctx context.Context, _ driver.Record) error {
	return l.do(ctx, func() error {
		e, err := l.own()
		if err == nil {
			l.extend(l.key, e, l.ttl)
		}
		return err
	})
}

func (l *lease) Update(ctx context.Context, record driver.Record) error {
	return l.do(ctx, func() error {
		was, err := l.own()
		if err != nil {
			return err
		}
		value, err := record.Over(was.value)
		if err == nil {
			l.put(l.key, value, l.owner, time.Until(was.deadline))
		}
		return err
	})
}

func (l *lease) Withdraw(ctx context.Context) error {
	return l.do(ctx, func() error {
		if _, err := l.own(); err == nil {
			l.remove(l.key)
		}
		return nil
	})
}

// own gives the entry: ErrLost when there is none, ErrConflict when it is another's.
func (l *lease) own() (*entry, error) {
	switch e := l.entries[l.key]; {
	case e == nil:
		return nil, driver.ErrLost
	case e.owner != l.owner:
		return nil, discovery.ErrConflict
	default:
		return e, nil
	}
}

// lock is an entry that its holder owns.
type lock struct {
	lease
	registry *driver.Registry
}

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	grant, err := l.Announce(ctx, driver.Record{Key: l.key}, false)
	if err == nil {
		err = l.do(ctx, func() error {
			e, err := l.own()
			if err == nil {
				grant.Token = e.version
			}
			return err
		})
	}
	return grant, err
}

func (l *lock) WaitReleased(ctx context.Context) error {
	return l.registry.Await(ctx, l.key, func(item driver.Item) bool { return item.Gone })
}

func (l *lock) Renew(ctx context.Context) error {
	return l.fenced(ctx, func() {
		l.extend(l.key, l.entries[l.key], l.ttl)
	})
}

func (l *lock) Release(ctx context.Context) error { return l.Withdraw(ctx) }

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.fenced(ctx, func() { l.put(key, value, nil, 0) })
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.fenced(ctx, func() { l.remove(key) })
}

// fenced calls f if this process leads. Nobody else can lead before f is done.
func (l *lock) fenced(ctx context.Context, f func()) error {
	return l.do(ctx, func() error {
		if _, err := l.own(); err != nil {
			return driver.ErrNotLeading
		}
		f()
		return nil
	})
}
