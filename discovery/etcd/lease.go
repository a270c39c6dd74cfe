package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
	"github.com/envharness/envharness/discovery/layout"
)

// NewLease gives the lease of a registration, on a session that others of this process share. In the layout skydns it
// keeps several records, whose TTL in DNS is that of the registration: a cache must not keep a dead instance for much
// longer.
func (b *backend) NewLease(_ discovery.Instance, ttl time.Duration) driver.Lease {
	keys, is := b.registry.Layout.(layout.SkyDNS)
	if !is {
		return b.leases.NewLease(ttl)
	}
	return &driver.MultiLease{
		Encode: func(in discovery.Instance) ([]layout.Record, error) {
			return keys.Encode(keys.WithTTL(in, seconds(ttl)))
		},
		NewLease: func() driver.Lease { return b.leases.NewLease(ttl) },
		Timeout:  b.config.Timeout,
	}
}

// session is an etcd lease that the client keeps alive. It implements driver.ServerLease.
type session struct {
	backend *backend
	id      clientv3.LeaseID
	ttl     time.Duration // as granted
	lost    chan struct{} // closed when it could not be kept alive, or was ended
	end     context.CancelFunc
}

func (b *backend) newSession(ctx context.Context, ttl time.Duration) (*session, error) {
	return cluster.Call(ctx, b.Client, func(ctx context.Context, client *clientv3.Client) (*session, error) {
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
	return cluster.Call(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) ([]string, error) {
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

func (s *session) Carries(item driver.Item) bool { return leaseOf(item) == s.id }

func (s *session) Put(ctx context.Context, key string, value []byte) (driver.Item, error) {
	return cluster.Call(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) (driver.Item, error) {
		response, err := client.Put(ctx, key, string(value), clientv3.WithLease(s.id))
		if err != nil {
			return driver.Item{}, lost(err)
		}
		return s.written(key, value, response.Header.Revision), nil
	})
}

// Swap compares the lease, too: a server that has lost its data counts its revisions anew.
func (s *session) Swap(ctx context.Context, was driver.Item, value []byte) (now driver.Item, swapped bool, err error) {
	same := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(was.Key), "=", modified(was))}
	if !was.Gone {
		same = append(same, clientv3.Compare(clientv3.LeaseValue(was.Key), "=", leaseOf(was)))
	}
	now, err = cluster.Call(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) (driver.Item, error) {
		response, err := client.Txn(ctx).
			If(same...).
			Then(clientv3.OpPut(was.Key, string(value), clientv3.WithLease(s.id))).
			Else(clientv3.OpGet(was.Key)).
			Commit()
		if err != nil {
			return driver.Item{}, lost(err)
		}
		if swapped = response.Succeeded; swapped {
			return s.written(was.Key, value, response.Header.Revision), nil
		}
		return itemAt(was.Key, response.Responses[0].GetResponseRange().Kvs), nil
	})
	return now, swapped, err
}

// written is a record as far as Swap compares it.
func (s *session) written(key string, value []byte, revision int64) driver.Item {
	return driver.Item{Key: key, Value: value, Version: driver.Version{revision, 0, 0, int64(s.id)}}
}

// lost is ErrLost when the server does not know the lease.
func lost(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return discovery.Mark(driver.ErrLost, err)
	}
	return err
}

func (s *session) Remove(ctx context.Context, key string) error {
	return cluster.Do(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.LeaseValue(key), "=", s.id)).
			Then(clientv3.OpDelete(key)).
			Commit()
		return err
	})
}

func (s *session) Revoke(ctx context.Context) error {
	return cluster.Do(ctx, s.backend.Client, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Revoke(ctx, s.id)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil
		}
		return err
	})
}
