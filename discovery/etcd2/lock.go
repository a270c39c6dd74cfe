package etcd2

import (
	"context"
	"crypto/rand"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery/driver"
)

// lock is a key with a TTL that holds its owner's token.
type lock struct {
	*backend
	key   string
	token string
	ttl   time.Duration
}

func (b *backend) NewLock(key string, ttl time.Duration) driver.Lock {
	return &lock{backend: b, key: key, token: rand.Text(), ttl: seconds(ttl)}
}

func (l *lock) Acquire(ctx context.Context) (driver.Grant, error) {
	return call(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) (driver.Grant, error) {
		response, err := keys.Set(ctx, l.key, l.token, &client.SetOptions{TTL: l.ttl, PrevExist: client.PrevNoExist})
		if refused(err, client.ErrorCodeNodeExist) {
			response, err = l.refresh(ctx, keys) // it may be ours, by a call that had no answer
		}
		if err != nil {
			return driver.Grant{}, err
		}
		return driver.Grant{TTL: l.ttl, Token: int64(response.Node.CreatedIndex)}, nil
	})
}

func (l *lock) WaitReleased(ctx context.Context) error {
	return l.registry.Await(ctx, l.key, func(item driver.Item) bool { return item.Gone })
}

func (l *lock) Renew(ctx context.Context) error {
	_, err := call(ctx, l.backend, l.refresh)
	return err
}

// refresh extends the key if it is ours; else the error matches ErrConflict.
func (l *lock) refresh(ctx context.Context, keys client.KeysAPI) (*client.Response, error) {
	response, err := keys.Set(ctx, l.key, "", &client.SetOptions{Refresh: true, TTL: l.ttl, PrevValue: l.token})
	if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
		return nil, driver.ErrNotLeading
	}
	return response, err
}

func (l *lock) Release(ctx context.Context) error {
	return do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Delete(ctx, l.key, &client.DeleteOptions{PrevValue: l.token})
		if refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
			return nil
		}
		return err
	})
}

// fenced changes something if this process leads at that moment. What happens between the two is not seen.
func (l *lock) fenced(ctx context.Context, change func(context.Context, client.KeysAPI) error) error {
	return do(ctx, l.backend, func(ctx context.Context, keys client.KeysAPI) error {
		node, err := own(ctx, keys, l.key)
		if err != nil {
			return err
		}
		if node == nil || node.Value != l.token {
			return driver.ErrNotLeading
		}
		return change(ctx, keys)
	})
}

func (l *lock) Put(ctx context.Context, key string, value []byte) error {
	return l.fenced(ctx, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Set(ctx, key, encodeValue(value), nil)
		return err
	})
}

func (l *lock) Delete(ctx context.Context, key string) error {
	return l.fenced(ctx, func(ctx context.Context, keys client.KeysAPI) error {
		_, err := keys.Delete(ctx, key, nil)
		if refused(err, client.ErrorCodeKeyNotFound) {
			return nil
		}
		return err
	})
}
