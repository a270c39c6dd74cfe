package etcd2

import (
	"context"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

// container is a registration's part in totem's record of its container. The record has a TTL, which every
// service of the container renews.
type container struct {
	layout   layout.Totem
	ttl      time.Duration
	modified uint64 // the record's, when last seen; 0: unknown
}

func (c *container) join(ctx context.Context, keys client.KeysAPI, in discovery.Instance, _ bool) error {
	return c.change(ctx, keys, in, c.layout.JoinHost)
}

func (c *container) leave(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error {
	return c.change(ctx, keys, in, c.layout.LeaveHost)
}

// renew refreshes the TTL; whatever else was done to the record meanwhile, our part is put back.
func (c *container) renew(ctx context.Context, keys client.KeysAPI, in discovery.Instance) error {
	key, err := c.layout.HostKey(in)
	if err != nil || c.modified == 0 {
		return c.join(ctx, keys, in, false)
	}
	response, err := keys.Set(ctx, key, "", &client.SetOptions{Refresh: true, TTL: c.ttl, PrevIndex: c.modified})
	if refused(err, client.ErrorCodeKeyNotFound, client.ErrorCodeTestFailed) {
		return c.join(ctx, keys, in, false)
	}
	if err == nil {
		c.modified = response.Node.ModifiedIndex
	}
	return err
}

// change makes another of the record; nil removes it.
func (c *container) change(ctx context.Context, keys client.KeysAPI, in discovery.Instance, to func(was []byte, in discovery.Instance) ([]byte, error)) error {
	key, err := c.layout.HostKey(in)
	if err != nil {
		return err
	}
	for {
		node, err := own(ctx, keys, key)
		if err != nil {
			return err
		}
		var was []byte
		if node != nil {
			was = []byte(node.Value)
		}
		now, err := to(was, in)
		if err != nil || now == nil && node == nil {
			return err
		}
		err = c.swap(ctx, keys, key, node, now)
		if !refused(err, client.ErrorCodeTestFailed, client.ErrorCodeNodeExist, client.ErrorCodeKeyNotFound) {
			return err
		}
	}
}

// swap writes the record, unless somebody wrote since it was read.
func (c *container) swap(ctx context.Context, keys client.KeysAPI, key string, node *client.Node, now []byte) error {
	if now == nil {
		_, err := keys.Delete(ctx, key, &client.DeleteOptions{PrevIndex: node.ModifiedIndex})
		return err
	}
	value, options := string(now), &client.SetOptions{TTL: c.ttl, PrevExist: client.PrevNoExist}
	if node != nil {
		options.PrevExist, options.PrevIndex = client.PrevIgnore, node.ModifiedIndex
		if options.Refresh = value == node.Value; options.Refresh {
			value = ""
		}
	}
	response, err := keys.Set(ctx, key, value, options)
	if err == nil {
		c.modified = response.Node.ModifiedIndex
	}
	return err
}
