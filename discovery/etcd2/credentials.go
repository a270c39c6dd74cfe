package etcd2

import (
	"context"
	"encoding/json"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// credentials are shared at one key for a service, by compare-and-swap.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, mine discovery.Credentials, keep bool) (discovery.Credentials, error) {
	r := c.registry
	const op = "share credentials of"
	key, err := r.layout.CredentialsKey(service)
	if err != nil {
		return mine, r.fail(op, service, err)
	}
	text, err := json.Marshal(mine)
	if err != nil {
		return mine, r.fail(op, service, err)
	}
	return call(ctx, r, op, service, func(ctx context.Context, keys client.KeysAPI) (discovery.Credentials, error) {
		for {
			node, err := own(ctx, keys, key)
			if err != nil {
				return mine, err
			}
			inForce := c.decode(service, node)
			if mine.IsZero() || keep && !inForce.IsZero() {
				return inForce, nil
			}
			options := &client.SetOptions{PrevExist: client.PrevNoExist}
			if node != nil {
				options = &client.SetOptions{PrevIndex: node.ModifiedIndex}
			}
			_, err = keys.Set(ctx, key, string(text), options)
			if !refused(err, client.ErrorCodeTestFailed, client.ErrorCodeNodeExist, client.ErrorCodeKeyNotFound) {
				return mine, err
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
	source := followKey(r, "read credentials of", service, key, func(node *client.Node) discovery.Credentials {
		return c.decode(service, node)
	})
	return driver.WatchCredentials(ctx, r.group, source, service, r.config.Log)
}

// decode reads what is shared; nothing and nonsense are no credentials.
func (c credentials) decode(service string, node *client.Node) (shared discovery.Credentials) {
	if node == nil || node.Dir {
		return shared
	}
	if err := json.Unmarshal([]byte(node.Value), &shared); err != nil {
		c.registry.config.Log.Warn("skipping malformed credentials", "service", service)
	}
	return shared
}
