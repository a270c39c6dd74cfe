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

// session is an etcd lease that the client keeps alive. It implements driver.ServerLease.
type session struct {
	backend *backend
	id      clientv3.LeaseID
	ttl     time.Duration // as granted
	lost    chan struct{} // closed when it could not be kept alive, or was ended
	end     context.CancelFunc
}

func (b *backend) newSession(ctx context.Context, ttl time.Duration) (*session, error) {
	return call(ctx, b, func(ctx context.Context, client *clientv3.Client) (*session, error) {
		response, err := client.Grant(ctx, seconds(ttl))
		if err != nil {
			return nil, err
		}
		life, end := context.WithCancel(context.Background())
		responses, err := client.KeepAlive(life, response.ID)
		if err != nil {
			end()
			return nil, err
		}
		s := &session{b, response.ID, time.Duration(response.TTL) * time.Second, make(chan struct{}), end}
		go func() {
			defer close(s.lost)
			for range responses {
			}
		}()
		return s, nil
	})
}

func (s *session) TTL() time.Duration    { return s.ttl }
func (s *session) Lost() <-chan struct{} { return s.lost }
func (s *session) Detach()               { s.end() }

func (s *session) isLost() bool {
	select {
	case <-s.lost:
		return true
	default:
		return false
	}
}

func (s *session) Keys(ctx context.Context) ([]string, error) {
	return call(ctx, s.backend, func(ctx context.Context, client *clientv3.Client) ([]string, error) {
		response, err := client.TimeToLive(ctx, s.id, clientv3.WithAttachedKeys())
		if err != nil {
			return nil, err
		}
		if response.TTL < 0 {
			return nil, driver.ErrLost
		}
		keys := make([]string, len(response.Keys))
		for i, key := range response.Keys {
			keys[i] = string(key)
		}
		return keys, nil
	})
}

func (s *session) Remove(ctx context.Context, key string) error {
	_, err := call(ctx, s.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(key), "=", s.id)).
			Then(clientv3.OpDelete(key)).
			Commit()
	})
	return err
}

func (s *session) Revoke(ctx context.Context) error {
	_, err := call(ctx, s.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		_, err := client.Revoke(ctx, s.id)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil, nil
		}
		return nil, err
	})
	return err
}

// lease is one registration: its record stands on a session that others of this process share.
type lease struct {
	backend *backend
	ttl     time.Duration
	key     string
	shared  *driver.SharedLease[*session] // nil: none
	former  []clientv3.LeaseID            // others, on which the record may still stand
	written *mvccpb.KeyValue              // the record as it was written last; nil: not known
}

func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	if keys, is := b.registry.Layout.(layout.SkyDNS); is {
		return newSkyDNSLease(b, keys, ttl)
	}
	return &lease{backend: b, ttl: ttl}
}

func (l *lease) Register(ctx context.Context, record driver.Record, takeOver bool) (driver.Grant, error) {
	done, err := l.backend.leases.Announcing(ctx)
	if err != nil {
		return driver.Grant{}, err
	}
	defer done()
	if err := l.take(ctx, record.Key); err != nil {
		return driver.Grant{}, err
	}
	l.written = nil
	revision, err := call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (int64, error) {
		write := clientv3.OpPut(record.Key, string(record.Value), clientv3.WithLease(l.shared.Lease.id))
		if takeOver {
			response, err := client.Do(ctx, write)
			if err != nil {
				return 0, err
			}
			return response.Put().Header.Revision, nil
		}
		return l.putOwn(ctx, client, record.Key, write)
	})
	if err == nil {
		l.former = nil
		l.wrote(record.Value, revision)
		return driver.Grant{TTL: l.shared.Lease.ttl}, nil
	}
	return driver.Grant{}, l.dropLost(err)
}

// take makes sure that there is a session for the record.
func (l *lease) take(ctx context.Context, key string) (err error) {
	if l.shared != nil && l.shared.Carries(key) {
		return nil
	}
	if l.shared != nil {
		l.drop()
	}
	l.key = key
	l.shared, err = l.backend.leases.Take(ctx, key, l.ttl)
	return err
}

// dropLost forgets a session that the server says is lost.
func (l *lease) dropLost(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.shared.Lose()
		l.drop()
	}
	return err
}

func (l *lease) drop() {
	l.former = append(l.former, l.shared.Lease.id)
	l.shared = nil
}

// owns reports whether a record is this registration's.
func (l *lease) owns(kv *mvccpb.KeyValue) bool {
	id := clientv3.LeaseID(kv.Lease)
	return l.shared != nil && id == l.shared.Lease.id || slices.Contains(l.former, id)
}

// wrote remembers the record as it was written.
func (l *lease) wrote(value []byte, revision int64) {
	l.written = &mvccpb.KeyValue{Value: value, ModRevision: revision, Lease: int64(l.shared.Lease.id)}
}

// putOwn writes if there is no record or its own, and gives the record's revision then.
func (l *lease) putOwn(ctx context.Context, client *clientv3.Client, key string, write clientv3.Op) (revision int64, err error) {
	var seen int64 // the record's revision; 0: there is none
	for {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
			Then(write).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			return 0, err
		}
		if response.Succeeded {
			return response.Header.Revision, nil
		}
		seen = 0
		if kvs := response.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			if !l.owns(kvs[0]) {
				return 0, discovery.ErrConflict
			}
			seen = kvs[0].ModRevision
		}
	}
}

// Renew looks after the record, with those of others; the client keeps the session alive.
func (l *lease) Renew(ctx context.Context, record driver.Record) error {
	if !l.shared.Carries(record.Key) {
		l.drop()
		return driver.ErrLost
	}
	there, err := l.shared.Has(ctx, record.Key)
	switch {
	case errors.Is(err, driver.ErrLost):
		l.shared.Lose()
		l.drop()
		return err
	case err != nil && !errors.Is(err, discovery.ErrDenied): // the record of another may be what is denied
		return err
	case there:
		return nil
	}
	_, err = call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		response, err := client.Get(ctx, record.Key) // keys alone would not tell whose they are
		if err != nil {
			return nil, err
		}
		return l.own(response.Kvs)
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

// Update writes over what was written last, in one step, and reads only what another has written since.
func (l *lease) Update(ctx context.Context, record driver.Record) error {
	_, err := call(ctx, l.backend, func(ctx context.Context, client *clientv3.Client) (any, error) {
		was := l.written
		if was == nil {
			response, err := client.Get(ctx, record.Key)
			if err != nil {
				return nil, err
			}
			if was, err = l.own(response.Kvs); err != nil {
				return nil, err
			}
		}
		for was != nil {
			now, err := l.rewrite(ctx, client, record, was)
			if err != nil {
				return nil, err
			}
			was = now
		}
		return nil, nil
	})
	return err
}

// rewrite replaces the record that was, or gives what stands there now. The lease is compared, too: a server that has
// lost its data counts its revisions anew.
func (l *lease) rewrite(ctx context.Context, client *clientv3.Client, record driver.Record, was *mvccpb.KeyValue) (now *mvccpb.KeyValue, err error) {
	value, err := record.Over(was.Value)
	if err != nil {
		return nil, err
	}
	l.written = nil
	response, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(record.Key), "=", was.ModRevision),
			clientv3.Compare(clientv3.LeaseValue(record.Key), "=", was.Lease)).
		Then(clientv3.OpPut(record.Key, string(value), clientv3.WithLease(l.shared.Lease.id))).
		Else(clientv3.OpGet(record.Key)).
		Commit()
	switch {
	case errors.Is(l.dropLost(err), rpctypes.ErrLeaseNotFound):
		return nil, driver.ErrLost
	case err != nil:
		return nil, err
	case response.Succeeded:
		l.wrote(value, response.Header.Revision)
		return nil, nil
	}
	return l.own(response.Responses[0].GetResponseRange().Kvs)
}

// Detach leaves the record to its TTL.
func (l *lease) Detach() {
	if l.shared != nil {
		l.shared.Leave(l.key)
	}
}

// Deregister removes the record if it is still on the session.
func (l *lease) Deregister(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	err := l.shared.Deregister(ctx, l.key)
	if err == nil {
		l.shared = nil
	}
	return err
}
