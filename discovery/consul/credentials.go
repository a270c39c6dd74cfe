package consul

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// credentials are shared at one key for a service, by compare-and-swap.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (discovery.Credentials, error) {
	r := c.registry
	key, err := r.keys.CredentialsKey(service)
	if err != nil {
		return discovery.Credentials{}, r.fail("share credentials of", service, err)
	}
	text, err := json.Marshal(own)
	if err != nil {
		return discovery.Credentials{}, r.fail("share credentials of", service, err)
	}
	return call(ctx, r, "share credentials of", service, func(ctx context.Context, client *client) (inForce discovery.Credentials, err error) {
		err = changing(ctx, func() error {
			entry, err := read(client, plain(key), strong(ctx))
			if err != nil {
				return err
			}
			inForce = c.decode(service, entry)
			if own.IsZero() || keep && !inForce.IsZero() {
				return nil
			}
			swap := &api.KVTxnOp{Verb: api.KVCAS, Key: plain(key), Value: text}
			if entry != nil {
				swap.Index = entry.ModifyIndex
			}
			inForce = own
			return write(ctx, client, swap)
		})
		return inForce, err
	})
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	r := c.registry
	key, err := r.keys.CredentialsKey(service)
	if err != nil {
		return nil, r.fail("read credentials of", service, err)
	}
	followed := followKey(r, "read credentials of", service, plain(key), func(entry *api.KVPair) discovery.Credentials {
		return c.decode(service, entry)
	})
	return driver.WatchCredentials(ctx, r.group, followed, service, r.config.Log)
}

// decode reads what is shared; nothing and nonsense are no credentials.
func (c credentials) decode(service string, entry *api.KVPair) (shared discovery.Credentials) {
	if entry == nil {
		return shared
	}
	if err := json.Unmarshal(entry.Value, &shared); err != nil {
		c.registry.config.Log.Warn("skipping malformed credentials", "service", service)
		return discovery.Credentials{}
	}
	return shared
}
