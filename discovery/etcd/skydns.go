package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// skydnsLease announces an instance at its own key, which says whose its ID is, and then at a key for each port with a
// name. Each stands on a lease as any record does, so a death takes all of them.
type skydnsLease struct {
	backend *backend
	keys    layout.SkyDNS
	ttl     time.Duration
	own     *lease
	ports   map[string]*portLease // by key
}

// portLease keeps the record of one port.
type portLease struct {
	driver.Lease
	stands bool // it was written
}

func newSkyDNSLease(b *backend, keys layout.SkyDNS, ttl time.Duration) *skydnsLease {
	return &skydnsLease{backend: b, keys: keys, ttl: ttl, own: &lease{backend: b, ttl: ttl}, ports: map[string]*portLease{}}
}

// records makes the own record and the others, whose TTL in DNS is that of the registration: a cache must not keep a
// dead instance for much longer.
func (l *skydnsLease) records(record driver.Record) (own driver.Record, others []driver.Record, err error) {
	all, err := l.keys.Encode(l.keys.WithTTL(record.Instance, seconds(l.ttl)))
	if err != nil || len(all) == 0 {
		return record, nil, err
	}
	for _, one := range all {
		r := record
		r.Key, r.Value = one.Key, one.Value
		others = append(others, r)
	}
	return others[0], others[1:], nil
}

func (l *skydnsLease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, l.backend.config.Timeout)
	defer cancel()
	own, others, err := l.records(record)
	if err != nil {
		return driver.Grant{}, err
	}
	grant, err := l.own.Register(ctx, own, takeOver)
	if err != nil {
		return grant, err
	}
	return grant, l.setPorts(ctx, others, true)
}

// setPorts brings the records of ports up to date. Who has the ID has them too, whatever stands there; write is false
// to leave those alone that are well.
func (l *skydnsLease) setPorts(ctx context.Context, records []driver.Record, write bool) error {
	wanted := map[string]bool{}
	for _, record := range records {
		wanted[record.Key] = true
		if err := l.setPort(ctx, record, write); err != nil {
			return err
		}
	}
	for key, port := range l.ports {
		if wanted[key] {
			continue
		}
		if err := port.Deregister(ctx); err != nil {
			return err
		}
		delete(l.ports, key)
	}
	return nil
}

func (l *skydnsLease) setPort(ctx context.Context, record driver.Record, write bool) error {
	port := l.ports[record.Key]
	if port == nil {
		port = &portLease{Lease: &lease{backend: l.backend, ttl: l.ttl}}
		l.ports[record.Key] = port
	}
	if port.stands && !write {
		err := port.Renew(ctx, record)
		if !errors.Is(err, driver.ErrLost) && !errors.Is(err, discovery.ErrConflict) {
			return err
		}
	}
	_, err := port.Register(ctx, record, true)
	port.stands = err == nil
	return err
}

func (l *skydnsLease) Renew(ctx context.Context, record driver.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.backend.config.Timeout)
	defer cancel()
	own, others, err := l.records(record)
	if err == nil {
		err = l.own.Renew(ctx, own)
	}
	if err != nil {
		return err
	}
	return l.setPorts(ctx, others, false)
}

func (l *skydnsLease) Update(ctx context.Context, record driver.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.backend.config.Timeout)
	defer cancel()
	own, others, err := l.records(record)
	if err == nil {
		err = l.own.Update(ctx, own)
	}
	if err != nil {
		return err
	}
	return l.setPorts(ctx, others, true)
}

// Deregister removes the records of ports first: none is left that names an instance without an address.
func (l *skydnsLease) Deregister(ctx context.Context) error {
	err := l.setPorts(ctx, nil, false)
	return errors.Join(err, l.own.Deregister(ctx))
}

// Detach is that of driver.Detacher.
func (l *skydnsLease) Detach() {
	l.own.Detach()
	for _, port := range l.ports {
		port.Lease.(driver.Detacher).Detach()
	}
}
