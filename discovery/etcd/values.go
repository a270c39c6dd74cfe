package etcd

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return nil, r.fail("read value", name, err)
	}
	return call(ctx, r, "read value", name, func(ctx context.Context, client *clientv3.Client) ([]byte, error) {
		response, err := client.Get(ctx, key, r.reading()...)
		if err != nil {
			return nil, err
		}
		if len(response.Kvs) == 0 {
			return nil, discovery.ErrNotFound
		}
		return response.Kvs[0].Value, nil
	})
}

func (r *registry) Put(ctx context.Context, name string, value []byte, ttl time.Duration) error {
	key, err := r.layout.ValueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil && ttl < 0 {
		_, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return r.fail("write value", name, err)
	}
	_, err = call(ctx, r, "write value", name, func(ctx context.Context, client *clientv3.Client) (any, error) {
		if ttl == 0 {
			return client.Put(ctx, key, string(value))
		}
		lease, err := client.Grant(ctx, seconds(ttl))
		if err != nil {
			return nil, err
		}
		return client.Put(ctx, key, string(value), clientv3.WithLease(lease.ID))
	})
	return err
}

func (r *registry) Delete(ctx context.Context, name string) error {
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return r.fail("delete value", name, err)
	}
	_, err = call(ctx, r, "delete value", name, func(ctx context.Context, client *clientv3.Client) (any, error) {
		response, err := client.Delete(ctx, key)
		if err == nil && response.Deleted == 0 {
			err = discovery.ErrNotFound
		}
		return nil, err
	})
	return err
}

func (r *registry) List(ctx context.Context) ([]string, error) {
	prefix := r.layout.ValuesPrefix()
	response, err := call(ctx, r, "list values", "", func(ctx context.Context, client *clientv3.Client) (*clientv3.GetResponse, error) {
		return client.Get(ctx, prefix, r.reading(clientv3.WithPrefix(), clientv3.WithKeysOnly())...)
	})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, kv := range response.Kvs {
		name, err := r.layout.ValueName(string(kv.Key))
		if err != nil {
			r.config.Log.Warn("skipping a key that is no value", "key", string(kv.Key), "error", err)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return nil, r.fail("watch value", name, err)
	}
	return driver.WatchValues(ctx, r.group, &keySource[discovery.Value]{
		subscription: subscription{registry: r, op: "watch value", name: name, key: key},
		decode: func(kv *mvccpb.KeyValue) discovery.Value {
			if kv == nil {
				return discovery.Value{}
			}
			return discovery.Value{Data: kv.Value, Found: true}
		},
	}, name, r.config.Log)
}

var errResigned = errors.New("this process leads no more")
