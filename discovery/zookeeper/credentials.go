package zookeeper

import (
	"context"
	"encoding/json"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// credentials are shared at one node for a service, by compare-and-swap of its version.
type credentials struct{ registry *registry }

func (c credentials) ShareCredentials(ctx context.Context, service string, own discovery.Credentials, keep bool) (discovery.Credentials, error) {
	r := c.registry
	const op = "share credentials of"
	key, err := r.layout.CredentialsKey(service)
	if err != nil {
		return own, r.fail(op, service, err)
	}
	text, err := json.Marshal(own)
	if err != nil {
		return own, r.fail(op, service, err)
	}
	return call(ctx, r, op, service, r.connection.get, func(ctx context.Context, s *session) (discovery.Credentials, error) {
		for {
			if err := s.sync(ctx); err != nil {
				return own, err
			}
			n, err := s.get(ctx, key)
			if err != nil && !missing(err) {
				return own, err
			}
			there := err == nil
			inForce := c.decode(service, n.data, there)
			if own.IsZero() || keep && !inForce.IsZero() {
				return inForce, nil
			}
			if there {
				_, err = s.set(ctx, key, text, n.stat.Version)
			} else {
				_, err = s.create(ctx, key, text, zk.FlagPersistent)
			}
			if !changed(err) {
				return own, err
			}
		}
	})
}

func (c credentials) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	r := c.registry
	const op = "read credentials of"
	key, err := r.layout.CredentialsKey(service)
	if err != nil {
		return nil, r.fail(op, service, err)
	}
	return driver.WatchCredentials(ctx, r.group, &keySource[discovery.Credentials]{
		registry: r,
		op:       op,
		name:     service,
		path:     key,
		decode:   func(data []byte, found bool) discovery.Credentials { return c.decode(service, data, found) },
	}, service, r.config.Log)
}

// decode reads what is shared; nothing and nonsense are no credentials.
func (c credentials) decode(service string, data []byte, found bool) (shared discovery.Credentials) {
	if !found {
		return shared
	}
	if err := json.Unmarshal(data, &shared); err != nil {
		c.registry.config.Log.Warn("skipping malformed credentials", "service", service)
	}
	return shared
}
