package etcd2

import (
	"context"
	"path"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// claim knows a registration's own record among those of others. To take an ID over is to set its key anew,
// which gives it another createdIndex; whoever holds it changes only the modifiedIndex.
type claim struct {
	created  uint64 // 0: none
	modified uint64

	// pending is what was written last without an answer: a record with this value is taken for the own.
	// (So would be a record that another wrote meanwhile, if it were the same to the last byte.)
	pending string
}

func (c *claim) owns(node *client.Node) bool {
	return node.CreatedIndex == c.created && c.created != 0 || c.pending != "" && node.Value == c.pending
}

func (c *claim) took(node *client.Node) {
	c.created, c.modified, c.pending = node.CreatedIndex, node.ModifiedIndex, ""
}

// read gives the record if it is the own: ErrLost or ErrConflict otherwise.
func (c *claim) read(ctx context.Context, keys client.KeysAPI, key string) (*client.Node, error) {
	node, err := own(ctx, keys, key)
	if err == nil {
		err = driver.Own(node != nil, node != nil && c.owns(node))
	}
	if err != nil {
		return nil, err
	}
	c.took(node)
	return node, nil
}

// file is a key with a TTL, which renewals refresh without an event for those who watch.
type file struct {
	claim
	ttl time.Duration

	// plain says that readers know set and delete, and no compareAndSwap and compareAndDelete: then the
	// record is read before, and only what happens between that and the write is not seen.
	plain bool
}

func (f *file) register(ctx context.Context, keys client.KeysAPI, key, value string, takeOver bool) error {
	f.pending = value
	if takeOver {
		response, err := keys.Set(ctx, key, value, &client.SetOptions{TTL: f.ttl})
		if err == nil {
			f.took(response.Node)
		}
		return err
	}
	for {
		response, err := keys.Set(ctx, key, value, &client.SetOptions{TTL: f.ttl, PrevExist: client.PrevNoExist})
		if err == nil {
			f.took(response.Node)
		}
		if !refused(err, client.ErrorCodeNodeExist) {
			return err
		}
		err = f.update(ctx, keys, key, func(string) (string, error) { return value, nil })
		if err != driver.ErrLost {
			return err
		}
	}
}

func (f *file) renew(ctx context.Context, keys client.KeysAPI, key, _ string) error {
	for {
		response, err := keys.Set(ctx, key, "", &client.SetOptions{Refresh: true, TTL: f.ttl, PrevIndex: f.modified})
		switch {
		case err == nil:
			f.took(response.Node)
			return nil
		case refused(err, client.ErrorCodeKeyNotFound):
			return driver.ErrLost
		case !refused(err, client.ErrorCodeTestFailed):
			return err
		}
		if _, err := f.read(ctx, keys, key); err != nil {
			return err
		}
	}
}

func (f *file) update(ctx context.Context, keys client.KeysAPI, key string, rewrite func(was string) (string, error)) error {
	for {
		node, err := f.read(ctx, keys, key)
		if err != nil {
			return err
		}
		value, err := rewrite(node.Value)
		if err != nil {
			return err
		}
		options := &client.SetOptions{TTL: f.ttl}
		if !f.plain {
			options.PrevIndex = f.modified
		}
		f.pending = value
		response, err := keys.Set(ctx, key, value, options)
		if err == nil {
			f.took(response.Node)
		}
		if !refused(err, client.ErrorCodeTestFailed, client.ErrorCodeKeyNotFound) {
			return err
		}
		f.pending = ""
	}
}

func (f *file) deregister(ctx context.Context, keys client.KeysAPI, key string) error {
	unsure := f.plain || f.pending != "" || f.created == 0
	for {
		if unsure {
			_, err := f.read(ctx, keys, key)
			if err == driver.ErrLost || err == discovery.ErrConflict {
				return nil
			}
			if err != nil {
				return err
			}
		}
		var options *client.DeleteOptions
		if !f.plain {
			options = &client.DeleteOptions{PrevIndex: f.modified}
		}
		_, err := keys.Delete(ctx, key, options)
		switch {
		case err == nil || refused(err, client.ErrorCodeKeyNotFound):
			f.claim = claim{}
			return nil
		case !refused(err, client.ErrorCodeTestFailed):
			return err
		}
		unsure = true
	}
}

// rewritten is a key with a TTL that is written whole at each renewal. It is nobody else's: the layout makes
// a new one for each registration.
type rewritten struct{ ttl time.Duration }

func (w *rewritten) register(ctx context.Context, keys client.KeysAPI, key, value string, _ bool) error {
	return w.renew(ctx, keys, key, value)
}

func (w *rewritten) renew(ctx context.Context, keys client.KeysAPI, key, value string) error {
	_, err := keys.Set(ctx, key, value, &client.SetOptions{TTL: w.ttl})
	return err
}

func (w *rewritten) update(ctx context.Context, keys client.KeysAPI, key string, rewrite func(string) (string, error)) error {
	value, err := rewrite("")
	if err != nil {
		return err
	}
	return w.renew(ctx, keys, key, value)
}

func (w *rewritten) deregister(ctx context.Context, keys client.KeysAPI, key string) error {
	_, err := keys.Delete(ctx, key, nil)
	if refused(err, client.ErrorCodeKeyNotFound) {
		return nil
	}
	return err
}

// directory is a key without a TTL in a directory with one. v2 compares no directories, so the record is
// read before each change.
type directory struct {
	claim
	ttl time.Duration
}

func (d *directory) register(ctx context.Context, keys client.KeysAPI, key, value string, takeOver bool) error {
	if !takeOver {
		if _, err := d.read(ctx, keys, key); err != nil && err != driver.ErrLost {
			return err
		}
	}
	for {
		_, err := keys.Set(ctx, path.Dir(key), "", &client.SetOptions{Dir: true, TTL: d.ttl})
		if refused(err, client.ErrorCodeNotFile) { // it is there
			err = d.refresh(ctx, keys, key)
		}
		if err != nil && err != driver.ErrLost {
			return err
		}
		if err := d.write(ctx, keys, key, value); err != nil {
			return err
		}
		// The directory may have expired in between, and was then made anew without a TTL.
		if err := d.refresh(ctx, keys, key); err != driver.ErrLost {
			return err
		}
	}
}

func (d *directory) write(ctx context.Context, keys client.KeysAPI, key, value string) error {
	d.pending = value
	response, err := keys.Set(ctx, key, value, nil)
	if err == nil {
		d.took(response.Node)
	}
	return err
}

// refresh gives the directory its TTL again.
func (d *directory) refresh(ctx context.Context, keys client.KeysAPI, key string) error {
	_, err := keys.Set(ctx, path.Dir(key), "", &client.SetOptions{Dir: true, TTL: d.ttl, PrevExist: client.PrevExist})
	if refused(err, client.ErrorCodeKeyNotFound) {
		return driver.ErrLost
	}
	return err
}

func (d *directory) renew(ctx context.Context, keys client.KeysAPI, key, _ string) error {
	if _, err := d.read(ctx, keys, key); err != nil {
		return err
	}
	return d.refresh(ctx, keys, key)
}

func (d *directory) update(ctx context.Context, keys client.KeysAPI, key string, rewrite func(was string) (string, error)) error {
	node, err := d.read(ctx, keys, key)
	if err != nil {
		return err
	}
	value, err := rewrite(node.Value)
	if err != nil {
		return err
	}
	if err := d.write(ctx, keys, key, value); err != nil {
		return err
	}
	return d.refresh(ctx, keys, key)
}

func (d *directory) deregister(ctx context.Context, keys client.KeysAPI, key string) error {
	_, err := d.read(ctx, keys, key)
	if err == driver.ErrLost || err == discovery.ErrConflict {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = keys.Delete(ctx, path.Dir(key), &client.DeleteOptions{Dir: true, Recursive: true})
	if refused(err, client.ErrorCodeKeyNotFound) {
		return nil
	}
	return err
}
