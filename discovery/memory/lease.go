package memory

import (
	"context"
	"maps"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// lease is one registration's record.
type lease struct {
	registry *registry
	ttl      time.Duration
	owner    *owner
}

func (l *lease) Announce(ctx context.Context, in discovery.Instance, takeOver bool) (driver.Grant, error) {
	return driver.Grant{TTL: l.ttl}, l.do(ctx, in, func(e *entry) error {
		if e != nil && e.owner != l.owner && !takeOver {
			return discovery.ErrConflict
		}
		l.registry.store.put(in, l.owner, l.ttl)
		return nil
	})
}

func (l *lease) Renew(ctx context.Context, in discovery.Instance) error {
	return l.do(ctx, in, func(e *entry) error {
		if err := l.own(e); err != nil {
			return err
		}
		e.expiry.renew(l.ttl)
		return nil
	})
}

func (l *lease) Update(ctx context.Context, in discovery.Instance) error {
	return l.do(ctx, in, func(e *entry) error {
		if err := l.own(e); err != nil {
			return err
		}
		e.instance = in.KeepUnknown(e.instance).Clone()
		l.registry.store.changed(topic{"service", in.Service})
		return nil
	})
}

func (l *lease) Withdraw(ctx context.Context) error {
	store := l.registry.store
	return l.registry.fail("withdraw", "", store.do(ctx, func() error {
		for service, entries := range store.services {
			for id, e := range maps.Clone(entries) {
				if e.owner == l.owner {
					store.remove(service, id)
					store.changed(topic{"service", service})
				}
			}
		}
		return nil
	}))
}

// own judges the record: ErrLost when there is none, ErrConflict when it is another's.
func (l *lease) own(e *entry) error {
	switch {
	case e == nil:
		return driver.ErrLost
	case e.owner != l.owner:
		return discovery.ErrConflict
	}
	return nil
}

func (l *lease) do(ctx context.Context, in discovery.Instance, f func(*entry) error) error {
	store := l.registry.store
	return l.registry.fail("register", in.Service, store.do(ctx, func() error {
		return f(store.services[in.Service][in.ID])
	}))
}

// credentials are shared through the store.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (inForce discovery.Credentials, err error) {
	store := c.registry.store
	err = store.do(ctx, func() error {
		inForce = store.credentials[service]
		if own.IsZero() || keep && !inForce.IsZero() {
			return nil
		}
		inForce = own
		store.credentials[service] = own
		store.changed(topic{"credentials", service})
		return nil
	})
	return inForce, c.registry.fail("share credentials of", service, err)
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	return driver.WatchCredentials(ctx, c.registry.group, &source[discovery.Credentials]{
		registry: c.registry,
		op:       "read credentials of",
		name:     service,
		topic:    topic{"credentials", service},
		read:     func() discovery.Credentials { return c.registry.store.credentials[service] },
	}, service, c.registry.config.Log)
}
