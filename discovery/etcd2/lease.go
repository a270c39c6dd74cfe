package etcd2

import (
	"context"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// The times of the layout scalingo.
const (
	scalingoTTL   = 5 * time.Second
	scalingoEvery = 4 * time.Second
)

// lease is one registration: its record and, in some layouts, its part in another.
type lease struct {
	backend *backend
	writer  writer
	beside  companion // nil: there is none
	grant   driver.Grant
	record  driver.Record // the last
}

// writer writes one record in the way that the readers of its layout expect. Its methods are called one at a
// time, and again after an error; what they did then may have been carried out. Errors are those of
// driver.Lease.
type writer interface {
	register(ctx context.Context, keys client.KeysAPI, key, value string, takeOver bool) error
	renew(ctx context.Context, keys client.KeysAPI, key, value string) error
	update(ctx context.Context, keys client.KeysAPI, key string, rewrite func(was string) (string, error)) error
	deregister(ctx context.Context, keys client.KeysAPI, key string) error
}

// companion is a registration's part in a record that others have a part in, too.
type companion interface {
	// join makes the part what the instance says; first, when the registration is new.
	join(ctx context.Context, keys client.KeysAPI, in discovery.Instance, first bool) error
	renew(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error
	leave(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error
}

// newLease gives how the layout keeps an instance.
func (b *backend) newLease(in discovery.Instance, ttl time.Duration) *lease {
	l := &lease{backend: b, grant: driver.Grant{TTL: seconds(ttl)}}
	switch keys := b.layout.(type) {
	case layout.Scalingo:
		l.grant.TTL = max(l.grant.TTL, scalingoTTL)
		l.grant.Every = max(l.grant.TTL/3, scalingoEvery)
		l.writer = &rewritten{ttl: l.grant.TTL}
		l.beside = &publicService{backend: b, layout: keys, instance: in}
	case layout.Totem:
		l.writer = &file{ttl: l.grant.TTL, plain: true}
		l.beside = &container{layout: keys, ttl: l.grant.TTL}
	case layout.ContainerPilot:
		l.writer = &directory{ttl: l.grant.TTL}
	default:
		l.writer = &file{ttl: l.grant.TTL}
	}
	return l
}

func (b *backend) NewLease(in discovery.Instance, ttl time.Duration) driver.Lease {
	return b.newLease(in, ttl)
}

func (l *lease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	l.record = record
	return l.grant, do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		if l.beside != nil {
			if err := l.beside.join(ctx, keys, record.Instance, takeOver); err != nil {
				return err
			}
		}
		return l.writer.register(ctx, keys, record.Key, string(record.Value), takeOver)
	})
}

func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	return do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		if err := l.writer.renew(ctx, keys, record.Key, string(record.Value)); err != nil || l.beside == nil {
			return err
		}
		return l.beside.renew(ctx, keys, record.Instance)
	})
}

func (l *lease) Update(ctx context.Context, record driver.Record) error {
	l.record = record
	return do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		err := l.writer.update(ctx, keys, record.Key, func(was string) (string, error) {
			value, err := record.Over([]byte(was))
			return string(value), err
		})
		if err != nil || l.beside == nil {
			return err
		}
		return l.beside.join(ctx, keys, record.Instance, false)
	})
}

func (l *lease) Deregister(ctx context.Context) error {
	return do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		if err := l.writer.deregister(ctx, keys, l.record.Key); err != nil || l.beside == nil {
			return err
		}
		return l.beside.leave(ctx, keys, l.record.Instance)
	})
}
