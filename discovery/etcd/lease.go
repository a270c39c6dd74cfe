package etcd

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// session is an etcd lease that the client keeps alive.
type session struct {
	id   clientv3.LeaseID
	ttl  time.Duration // as granted
	lost chan struct{} // closed when it could not be kept alive, or was ended
	end  context.CancelFunc
}

func (b *backend) newSession(ctx context.Context, client *clientv3.Client, ttl time.Duration) (*session, error) {
	response, err := client.Grant(ctx, seconds(ttl))
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	beats, err := client.KeepAlive(life, response.ID)
	if err != nil {
		end()
		return nil, err
	}
	s := &session{id: response.ID, ttl: time.Duration(response.TTL) * time.Second, lost: make(chan struct{}), end: end}
	go func() {
		defer close(s.lost)
		for range beats {
		}
	}()
	return s, nil
}

func (s *session) isLost() bool {
	select {
	case <-s.lost:
		return true
	default:
		return false
	}
}

// revoke ends the lease with all that stands on it. It tries until ctx ends: a server may be there again soon.
func (b *backend) revoke(ctx context.Context, s *session) error {
	defer s.end()
	return discovery.Retry(ctx, func(ctx context.Context) error {
		_, err := call(ctx, b, func(ctx context.Context, client *clientv3.Client) (any, error) {
			_, err := client.Revoke(ctx, s.id)
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				return nil, nil
			}
			return nil, err
		})
		return err
	})
}

// lease is one registration: its record stands on a session of its own.
type lease struct {
	backend *backend
	ttl     time.Duration
	session *session           // nil: none
	former  []clientv3.LeaseID // lost ones, on which the record may still stand
}

func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	if keys, is := b.registry.Layout.(layout.SkyDNS); is {
		return newSkyDNSLease(b, keys, ttl)
	}
	return &lease{backend: b, ttl: ttl}
}

func (l *lease) Announce(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	return call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (driver.Grant, error) {
		if l.session == nil {
			s, err := l.backend.newSession(ctx, client, l.ttl)
			if err != nil {
				return driver.Grant{}, err
			}
			l.session = s
		}
		grant := driver.Grant{TTL: l.session.ttl}
		write := clientv3.OpPut(record.Key, string(record.Value), clientv3.WithLease(l.session.id))
		if takeOver {
			_, err := client.Do(ctx, write)
			return grant, l.dropLost(err)
		}
		return grant, l.dropLost(l.putOwn(ctx, client, record.Key, write))
	})
}

// dropLost forgets a session that the server says is lost.
func (l *lease) dropLost(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.drop()
	}
	return err
}

func (l *lease) drop() {
	l.session.end()
	l.former = append(l.former, l.session.id)
	l.session = nil
}

// owns reports whether a record is this registration's.
func (l *lease) owns(kv *mvccpb.KeyValue) bool {
	id := clientv3.LeaseID(kv.Lease)
	return l.session != nil && id == l.session.id || slices.Contains(l.former, id)
}

// putOwn writes if there is no record or its own.
func (l *lease) putOwn(ctx context.Context, client *clientv3.Client, key string, write clientv3.Op) error {
	var seen int64 // the record's revision; 0: there is none
	for {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
			Then(write).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil || response.Succeeded {
			return err
		}
		seen = 0
		if kvs := response.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			if !l.owns(kvs[0]) {
				return discovery.ErrConflict
			}
			seen = kvs[0].ModRevision
		}
	}
}

// Renew looks after the record; the client keeps the session alive.
func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	if l.session.isLost() {
		l.drop()
		return driver.ErrLost
	}
	_, err := call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(record.Key), "=", l.session.id)).
			Else(clientv3.OpGet(record.Key)).
			Commit()
		if err != nil || response.Succeeded {
			return nil, err
		}
		_, err = l.own(response.Responses[0].GetResponseRange().Kvs)
		return nil, err
	})
	return err
}

// own gives the record: ErrLost when it is gone and ErrConflict when it is another's.
func (l *lease) own(kvs []*mvccpb.KeyValue) (*mvccpb.KeyValue, error) {
	switch {
	case len(kvs) == 0:
		return nil, driver.ErrLost
	case !l.owns(kvs[0]):
		return nil, discovery.ErrConflict
	}
	return kvs[0], nil
}

func (l *lease) Update(ctx context.Context, record driver.Record) error {
	_, err := call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		for {
			response, err := client.Get(ctx, record.Key)
			if err != nil {
				return nil, err
			}
			was, err := l.own(response.Kvs)
			if err != nil {
				return nil, err
			}
			if written, err := l.rewrite(ctx, client, record, was); written || err != nil {
				return nil, err
			}
		}
	})
	return err
}

// rewrite replaces the record, unless somebody wrote since it was read.
func (l *lease) rewrite(ctx context.Context, client *clientv3.Client, record driver.Record, was *mvccpb.KeyValue) (written bool, err error) {
	value, err := record.Over(was.Value)
	if err != nil {
		return false, err
	}
	response, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(record.Key), "=", was.ModRevision)).
		Then(clientv3.OpPut(record.Key, string(value), clientv3.WithLease(l.session.id))).
		Commit()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.drop()
		return false, driver.ErrLost
	}
	return err == nil && response.Succeeded, err
}

// Detach stops keeping the session alive.
func (l *lease) Detach() {
	if l.session != nil {
		l.session.end()
	}
}

// Withdraw ends the session, and with it the record if it is still on it.
func (l *lease) Withdraw(ctx context.Context) error {
	if l.session == nil {
		return nil
	}
	err := l.backend.revoke(ctx, l.session)
	if err == nil {
		l.drop()
	}
	return err
}
