package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// valueKey is where a value stands.
func (r *registry) valueKey(name string) (string, error) {
	key, err := r.keys.ValueKey(name)
	return plain(key), err
}

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	key, err := r.valueKey(name)
	if err != nil {
		return nil, r.fail("read value", name, err)
	}
	return call(ctx, r, "read value", name, func(ctx context.Context, client *client) ([]byte, error) {
		entry, err := read(client, key, r.reading(ctx))
		if err == nil && entry == nil {
			err = discovery.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		return entry.Value, nil
	})
}

func (r *registry) Put(ctx context.Context, name string, value []byte, ttl time.Duration) error {
	key, err := r.valueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil && ttl < 0 {
		_, err = discovery.ValidTTL(ttl)
	}
	if err == nil && ttl > maxSession {
		err = discovery.Mark(discovery.ErrUnsupported, fmt.Errorf("a TTL of %s: Consul's sessions last %s at most", ttl, maxSession))
	}
	if err != nil {
		return r.fail("write value", name, err)
	}
	_, err = call(ctx, r, "write value", name, func(ctx context.Context, client *client) (any, error) {
		if ttl > 0 {
			if err := r.atHome(ctx, client); err != nil {
				return nil, err
			}
			return nil, putFor(ctx, client, key, value, ttl)
		}
		return nil, changing(ctx, func() error { return write(ctx, client, replaceValue(key, value, "")...) })
	})
	return err
}

// replaceValue writes a value that a session holds, or none. Deleting it first takes it away from the session
// that may have held it until now.
func replaceValue(key string, value []byte, session string) api.KVTxnOps {
	verb := api.KVSet
	if session != "" {
		verb = api.KVLock
	}
	return api.KVTxnOps{{Verb: api.KVDelete, Key: key}, {Verb: verb, Key: key, Value: value, Session: session}}
}

// putFor writes a value under a session that nobody renews, and that depends on nothing else.
func putFor(ctx context.Context, client *client, key string, value []byte, ttl time.Duration) error {
	session, _, err := client.Session().CreateNoChecks(newSession(key, ttl), writing(ctx))
	if err != nil {
		return err
	}
	err = changing(ctx, func() error { return write(ctx, client, replaceValue(key, value, session)...) })
	if err == nil {
		return nil
	}
	return errors.Join(err, endSession(ctx, client, session))
}

func (r *registry) Delete(ctx context.Context, name string) error {
	key, err := r.valueKey(name)
	if err != nil {
		return r.fail("delete value", name, err)
	}
	_, err = call(ctx, r, "delete value", name, func(ctx context.Context, client *client) (any, error) {
		_, err := transact(client, strong(ctx), &api.KVTxnOp{Verb: api.KVGet, Key: key}, &api.KVTxnOp{Verb: api.KVDelete, Key: key})
		if errors.Is(err, errNoKey) {
			err = discovery.ErrNotFound
		}
		return nil, err
	})
	return err
}

func (r *registry) List(ctx context.Context) ([]string, error) {
	prefix := r.keys.values
	keys, err := call(ctx, r, "list values", "", func(ctx context.Context, client *client) ([]string, error) {
		keys, _, err := client.KV().Keys(prefix, "", r.reading(ctx))
		if err == nil && len(keys) == 0 {
			err = r.mayRead(ctx, client, prefix)
		}
		return keys, err
	})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, key := range keys {
		name, err := r.keys.ValueName("/" + key)
		if err != nil {
			r.config.Log.Warn("skipping a key that is no value", "key", key, "error", err)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	key, err := r.valueKey(name)
	if err != nil {
		return nil, r.fail("watch value", name, err)
	}
	followed := followKey(r, "watch value", name, key, func(entry *api.KVPair) discovery.Value {
		if entry == nil {
			return discovery.Value{}
		}
		return discovery.Value{Data: entry.Value, Found: true}
	})
	return driver.WatchValues(ctx, r.group, followed, name, r.config.Log)
}
