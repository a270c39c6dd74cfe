package etcd2

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// binaryMark begins the value of a key that is written as base64. v2 answers in JSON, which holds text
// alone; no text for an environment begins with NUL.
const binaryMark = "\x00base64:"

// encodeValue writes text as it stands.
func encodeValue(value []byte) string {
	if text := string(value); utf8.ValidString(text) && !strings.HasPrefix(text, binaryMark) {
		return text
	}
	return binaryMark + base64.StdEncoding.EncodeToString(value)
}

func decodeValue(text string) []byte {
	if encoded, ok := strings.CutPrefix(text, binaryMark); ok {
		if value, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return value
		}
	}
	return []byte(text)
}

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return nil, r.fail("read value", name, err)
	}
	return call(ctx, r, "read value", name, func(ctx context.Context, keys client.KeysAPI) ([]byte, error) {
		node, _, err := r.get(ctx, keys, key)
		if err != nil {
			return nil, err
		}
		if node == nil || node.Dir {
			return nil, discovery.ErrNotFound
		}
		return decodeValue(node.Value), nil
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
	_, err = call(ctx, r, "write value", name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		return keys.Set(ctx, key, encodeValue(value), &client.SetOptions{TTL: seconds(ttl)})
	})
	return err
}

func (r *registry) Delete(ctx context.Context, name string) error {
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return r.fail("delete value", name, err)
	}
	_, err = call(ctx, r, "delete value", name, func(ctx context.Context, keys client.KeysAPI) (any, error) {
		_, err := keys.Delete(ctx, key, nil)
		if refused(err, client.ErrorCodeKeyNotFound) {
			err = discovery.ErrNotFound
		}
		return nil, err
	})
	return err
}

func (r *registry) List(ctx context.Context) ([]string, error) {
	all, _, err := r.readAll(ctx, "list values", "", r.layout.ValuesPrefix())
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, record := range all {
		name, err := r.layout.ValueName(record.Key)
		if err != nil {
			r.config.Log.Warn("skipping a key that is no value", "key", record.Key, "error", err)
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
	source := followKey(r, "watch value", name, key, func(node *client.Node) discovery.Value {
		if node == nil || node.Dir {
			return discovery.Value{}
		}
		return discovery.Value{Data: decodeValue(node.Value), Found: true}
	})
	return driver.WatchValues(ctx, r.group, source, name, r.config.Log)
}
