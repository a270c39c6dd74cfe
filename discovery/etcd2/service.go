package etcd2

import (
	"bytes"
	"context"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// publicService is a registration's part in scalingo's record of its service, which has the address and the
// credentials of its public instances. It belongs to the last writer and is never removed.
type publicService struct {
	backend  *backend
	layout   layout.Scalingo
	instance discovery.Instance
	written  []byte // the record as far as the instance alone makes it
}

// part is what the record has of an instance, but for the credentials that are in force.
func (s *publicService) part(in discovery.Instance) ([]byte, error) {
	in.User, in.Password = "", ""
	return s.layout.EncodeInfo(in)
}

// join writes the record of an instance that is not public, and an Update of a public one. (What is first
// written of a public one, ShareCredentials does.)
func (s *publicService) join(ctx context.Context, keys client.KeysAPI, in discovery.Instance, first bool) error {
	part, err := s.part(in)
	if err != nil {
		return err
	}
	if in.Public && first || bytes.Equal(part, s.written) && !first {
		return nil
	}
	s.instance = in
	how := unlessPublic
	if in.Public {
		how = ours
	}
	_, err = s.write(ctx, keys, discovery.Credentials{}, how)
	return err
}

func (s *publicService) renew(context.Context, client.KeysAPI, discovery.Instance) error { return nil }
func (s *publicService) leave(context.Context, client.KeysAPI, discovery.Instance) error { return nil }

// ShareCredentials writes the record with them, as the last writer, or gives those that stand there.
func (s *publicService) ShareCredentials(ctx context.Context, service string, c discovery.Credentials, keep bool) (discovery.Credentials, error) {
	how := ours
	if keep {
		how = unlessPublic
	}
	inForce, err := call(ctx, s.backend, func(ctx context.Context, keys client.KeysAPI) (discovery.Credentials, error) {
		return s.write(ctx, keys, c, how)
	})
	return inForce, s.backend.registry.Fail("share credentials of", service, err)
}

// How the record of a service is written.
const (
	ours         = iota // the address becomes ours
	unlessPublic        // a public service's record stays as it is
)

// write makes the record ours, with these credentials, or with those in force when they are none, and gives
// what is in force then.
func (s *publicService) write(ctx context.Context, keys client.KeysAPI, c discovery.Credentials, how int) (discovery.Credentials, error) {
	key, err := s.layout.InfoKey(s.instance.Service)
	if err != nil {
		return c, err
	}
	for {
		node, err := own(ctx, keys, key)
		if err != nil {
			return c, err
		}
		was := s.backend.decodeInfo(s.layout, s.instance.Service, itemAt(key, node))
		if how == unlessPublic && was.Public {
			return was.Credentials(), nil
		}
		in := s.instance
		in.User, in.Password = c.User, c.Password
		options := &client.SetOptions{}
		if c.IsZero() { // those of others stay, so this must not come after a change of them
			in.User, in.Password = was.User, was.Password
			options.PrevExist = client.PrevNoExist
			if node != nil {
				options.PrevExist, options.PrevIndex = client.PrevIgnore, node.ModifiedIndex
			}
		}
		err = s.set(ctx, keys, key, in, options)
		if !refused(err, client.ErrorCodeTestFailed, client.ErrorCodeNodeExist, client.ErrorCodeKeyNotFound) {
			return in.Credentials(), err
		}
	}
}

func (s *publicService) set(ctx context.Context, keys client.KeysAPI, key string, in discovery.Instance, options *client.SetOptions) error {
	value, err := s.layout.EncodeInfo(in)
	if err != nil {
		return err
	}
	if _, err := keys.Set(ctx, key, string(value), options); err != nil {
		return err
	}
	s.written, err = s.part(in)
	return err
}

// WatchCredentials follows the record.
func (s *publicService) WatchCredentials(ctx context.Context, service string) (<-chan discovery.Credentials, error) {
	const op = "read credentials of"
	key, err := s.layout.InfoKey(service)
	if err != nil {
		return nil, s.backend.registry.Fail(op, service, err)
	}
	see := func(item driver.Item) discovery.Credentials {
		return s.backend.decodeInfo(s.layout, service, item).Credentials()
	}
	return driver.WatchKey(ctx, s.backend.registry.Hub, op, service, key, see, func(last discovery.Credentials) discovery.Credentials { return last })
}

// publicService gives the published address of a service, nil when it has none.
func (b *backend) publicService(ctx context.Context, service string) (*discovery.Instance, error) {
	keys, key, err := b.infoKey(service)
	if err != nil || key == "" {
		return nil, err
	}
	item, err := b.Get(ctx, key, false)
	return b.public(keys, service, item), err
}

// infoKey is where the record of a service stands; empty in a layout that has none.
func (b *backend) infoKey(service string) (layout.Scalingo, string, error) {
	keys, ok := b.layout.(layout.Scalingo)
	if !ok {
		return keys, "", nil
	}
	key, err := keys.InfoKey(service)
	return keys, key, err
}

func (b *backend) public(keys layout.Scalingo, service string, item driver.Item) *discovery.Instance {
	if info := b.decodeInfo(keys, service, item); info.Public {
		return &info
	}
	return nil
}

// decodeInfo reads the record of a service; nothing and nonsense are a service that is not public.
func (b *backend) decodeInfo(keys layout.Scalingo, service string, item driver.Item) discovery.Instance {
	if item.Gone {
		return discovery.Instance{}
	}
	info, err := keys.DecodeInfo(service, item.Value)
	if err != nil {
		b.config.Log.Warn("skipping a malformed record", "key", item.Key, "error", err)
		return discovery.Instance{}
	}
	return info
}
