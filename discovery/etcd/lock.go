package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/etcd/internal/cluster"
)

// lock is etcd's own recipe of an election: of all keys below one, each on a session, the oldest has it.
type lock struct {
	backend *backend
	prefix  string
	ttl     time.Duration
	session *session      // nil: none
	key     string        // ours
	created int64         // its revision
	before  string        // the key that is next older than ours
	lost    chan struct{} // receives when a session is lost
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{backend: b, prefix: key + "/", ttl: ttl, lost: make(chan struct{}, 1)}
}

// Lost receives when the session is lost.
func (l *lock) Lost() <-chan struct{} { return l.lost }

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	if err := l.open(ctx); err != nil {
		return driver.Grant{}, err
	}
	return cluster.Call(ctx, l.backend.Client, func(ctx context.Context, client *clientv3.Client) (driver.Grant, error) {
		if err := l.stand(ctx, client); err != nil {
			return driver.Grant{}, err
		}
		older, err := client.Get(ctx, l.prefix, append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(l.created-1))...)
		if err != nil {
			return driver.Grant{}, err
		}
		if len(older.Kvs) > 0 {
			l.before = string(older.Kvs[0].Key)
			return driver.Grant{}, discovery.ErrConflict
		}
		return driver.Grant{TTL: l.session.ttl, Token: l.created}, nil
	})
}

// open makes a session, unless there is one still.
func (l *lock) open(ctx context.Context) error {
	if l.session != nil && !l.session.isLost() {
		return nil
	}
	s, err := l.backend.newSession(ctx, l.ttl)
	if err != nil {
		return err
	}
	if l.session != nil {
		l.session.end()
	}
	l.session, l.key = s, fmt.Sprintf("%s%x", l.prefix, s.id)
	go func() {
		<-s.lost
		select {
		case l.lost <- struct{}{}:
		default:
		}
	}()
	return nil
}

// stand makes the key, unless it is there.
func (l *lock) stand(ctx context.Context, client *clientv3.Client) error {
	response, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(l.key), "=", 0)).
		Then(clientv3.OpPut(l.key, "", clientv3.WithLease(l.session.id))).
		Else(clientv3.OpGet(l.key)).
		Commit()
	if err != nil {
		return err
	}
	l.created = response.Header.Revision
	if !response.Succeeded {
		l.created = response.Responses[0].GetResponseRange().Kvs[0].CreateRevision
	}
	return nil
}

// WaitReleased waits until the next older key is gone. Who loses its session meanwhile stands again.
func (l *lock) WaitReleased(ctx context.Context) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := l.session.lost
	go func() {
		select {
		case <-lost:
			cancel()
		case <-waiting.Done():
		}
	}()
	err := l.backend.registry.Await(waiting, l.before, func(item driver.Item) bool { return item.Gone })
	if l.session.isLost() && ctx.Err() == nil {
		return nil
	}
	return err
}

// Renew makes sure of the lease itself: the client may keep it alive no more while the key still stands.
func (l *lock) Renew(ctx context.Context) error {
	err := cluster.Do(ctx, l.backend.Client, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.KeepAliveOnce(ctx, l.session.id)
		return err
	})
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return driver.ErrNotLeading
	}
	if err != nil {
		return err
	}
	return l.fenced(ctx)
}

func (l *lock) Release(ctx context.Context) error {
	if l.session == nil {
		return nil
	}
	defer l.session.end()
	return discovery.Retry(ctx, l.session.Revoke)
}

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.fenced(ctx, clientv3.OpPut(key, string(value)))
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.fenced(ctx, clientv3.OpDelete(key))
}

// fenced does something if this process leads at that moment.
func (l *lock) fenced(ctx context.Context, operations ...clientv3.Op) error {
	return cluster.Do(ctx, l.backend.Client, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(l.key), "=", l.created)).
			Then(operations...).
			Commit()
		if err == nil && !response.Succeeded {
			err = driver.ErrNotLeading
		}
		return err
	})
}
