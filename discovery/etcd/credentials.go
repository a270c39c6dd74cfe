package etcd

import (
	"context"
	"encoding/json"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// credentials are shared at one key for a service, by compare-and-swap.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (discovery.Credentials, error) {
	r := c.registry
	key, err := r.layout.CredentialsKey(service)
	if err != nil {
		return discovery.Credentials{}, r.fail("share credentials of", service, err)
	}
	text, err := json.Marshal(own)
	if err != nil {
		return discovery.Credentials{}, r.fail("share credentials of", service, err)
	}
	return call(ctx, r, "share credentials of", service, func(ctx context.Context, client *clientv3.Client) (discovery.Credentials, error) {
		for {
			response, err := client.Get(ctx, key)
			if err != nil {
				return discovery.Credentials{}, err
			}
			inForce, seen := discovery.Credentials{}, int64(0)
			if len(response.Kvs) > 0 {
				inForce, seen = c.decode(service, response.Kvs[0]), response.Kvs[0].ModRevision
			}
			if own.IsZero() || keep && !inForce.IsZero() {
				return inForce, nil
			}
			swap, err := client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", seen)).
				Then(clientv3.OpPut(key, string(text))).
				Commit()
			if err != nil || swap.Succeeded {
				return own, err
			}
		}
	})
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	r := c.registry
	key, err := r.layout.CredentialsKey(service)
	if err != nil {
		return nil, r.fail("read credentials of", service, err)
	}
	return driver.WatchCredentials(ctx, r.group, &keySource[discovery.Credentials]{
		subscription: subscription{registry: r, op: "read credentials of", name: service, key: key},
		decode:       func(kv *mvccpb.KeyValue) discovery.Credentials { return c.decode(service, kv) },
	}, service, r.config.Log)
}

// decode reads what is shared; nothing and nonsense are no credentials.
func (c credentials) decode(service string, kv *mvccpb.KeyValue) (shared discovery.Credentials) {
	if kv == nil {
		return shared
	}
	if err := json.Unmarshal(kv.Value, &shared); err != nil {
		c.registry.config.Log.Warn("skipping malformed credentials", "service", service)
	}
	return shared
}
