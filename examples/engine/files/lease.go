package files

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// lease is one registration's file.
type lease struct {
	registry *registry
	key      string
	owner    string
	ttl      time.Duration
}

func newLease(r *registry, key string, ttl time.Duration) *lease {
	return &lease{registry: r, key: key, owner: rand.Text(), ttl: ttl}
}

func (l *lease) Announce(ctx context.Context, in discovery.Instance, takeOver bool) (driver.Grant, error) {
	return driver.Grant{TTL: l.ttl}, l.do(ctx, "register", func(d *directory, f *file) error {
		if err := l.own(f); err == discovery.ErrConflict && !takeOver {
			return err
		}
		return l.write(d, in, time.Now().Add(l.ttl))
	})
}

func (l *lease) Renew(ctx context.Context, _ discovery.Instance) error {
	return l.do(ctx, "renew", func(d *directory, f *file) error {
		if err := l.own(f); err != nil {
			return err
		}
		return d.renew(l.key, time.Now().Add(l.ttl))
	})
}

func (l *lease) Update(ctx context.Context, in discovery.Instance) error {
	return l.do(ctx, "update", func(d *directory, f *file) error {
		if err := l.own(f); err != nil {
			return err
		}
		record, _ := recordAndOwner(f.data)
		if was, err := l.registry.layout.Decode(l.key, record); err == nil {
			in = in.KeepUnknown(was)
		}
		return l.write(d, in, f.expires)
	})
}

func (l *lease) Withdraw(ctx context.Context) error {
	return l.do(ctx, "withdraw", func(d *directory, f *file) error {
		if l.own(f) != nil {
			return nil
		}
		return d.remove(l.key)
	})
}

// do calls f with what stands in the place of the registration.
func (l *lease) do(ctx context.Context, op string, f func(*directory, *file) error) error {
	return l.registry.do(ctx, op, l.key, func(d *directory) error {
		present, err := d.read(l.key)
		if err != nil {
			return err
		}
		return f(d, present)
	})
}

// own judges the file: ErrLost when there is none, ErrConflict when it is another's.
func (l *lease) own(f *file) error {
	if f == nil {
		return driver.ErrLost
	}
	if _, owner := recordAndOwner(f.data); owner != l.owner {
		return discovery.ErrConflict
	}
	return nil
}

func (l *lease) write(d *directory, in discovery.Instance, expires time.Time) error {
	records, err := l.registry.layout.Encode(in)
	if err != nil {
		return err
	}
	return d.put(l.key, ownedBy(records[0].Value, l.owner), expires)
}

// credentials are shared by a file of their own.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (inForce discovery.Credentials, err error) {
	source, key, err := c.source(service)
	if err != nil {
		return inForce, err
	}
	err = c.registry.do(ctx, source.op, service, func(d *directory) error {
		inForce, err = source.read(d)
		if err != nil || own.IsZero() || keep && !inForce.IsZero() {
			return err
		}
		inForce = own
		text, err := json.Marshal(own)
		if err != nil {
			return err
		}
		return d.put(key, text, forever)
	})
	return inForce, err
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	source, _, err := c.source(service)
	if err != nil {
		return nil, err
	}
	return driver.WatchCredentials(ctx, c.registry.group, source, service, c.registry.config.Log)
}

func (c credentials) source(service string) (*source[discovery.Credentials], string, error) {
	key, err := c.registry.layout.CredentialsKey(service)
	if err == nil {
		err = validKey(key)
	}
	return &source[discovery.Credentials]{
		registry: c.registry,
		op:       "share credentials of",
		name:     service,
		same:     func(a, b discovery.Credentials) bool { return a == b },
		read: func(d *directory) (shared discovery.Credentials, err error) {
			f, err := d.read(key)
			if f != nil && json.Unmarshal(f.data, &shared) != nil {
				c.registry.config.Log.Warn("skipping malformed credentials", "service", service)
			}
			return shared, err
		},
	}, key, c.registry.fail("share credentials of", service, err)
}
