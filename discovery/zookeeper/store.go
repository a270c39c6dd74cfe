package zookeeper

import (
	"context"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
)

// nodePath is a layout's prefix or key as a node.
func nodePath(key string) string { return "/" + strings.Trim(key, "/") }

// itemOf takes an item's version from all that its node says of it: the number of its last change alone does not
// identify what stands there, when the ensemble has lost its data.
func itemOf(key string, n node) driver.Item {
	return driver.Item{
		Key:     key,
		Value:   n.data,
		Version: driver.Version{n.stat.Mzxid, n.stat.Mtime, n.stat.EphemeralOwner, int64(n.stat.Version)},
		Note:    n.stat,
	}
}

// freshen makes the server that is asked as new as the leader, unless the URL lets it be.
func (b *backend) freshen(ctx context.Context, s *session, latest bool) error {
	if b.config.Stale && !latest {
		return nil
	}
	return s.sync(ctx)
}

func (b *backend) Get(ctx context.Context, key string, latest bool) (driver.Item, error) {
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) (driver.Item, error) {
		if err := b.freshen(ctx, s, latest); err != nil {
			return driver.Item{}, err
		}
		n, err := s.get(ctx, key)
		if err != nil {
			return driver.Item{Key: key, Gone: true}, ignoreMissing(err)
		}
		return itemOf(key, n), nil
	})
}

func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	directory := nodePath(prefix)
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) (driver.Changes, error) {
		c := driver.Changes{Whole: true, Revision: revision(0)}
		below, err := b.below(ctx, s, directory)
		if c.Never = missing(err); err != nil {
			return c, ignoreMissing(err)
		}
		nodes, err := readAllowed(ctx, s, directory, below.names, s.get)
		newest := below.stat.Pzxid
		for _, one := range nodes {
			newest = max(newest, one.value.stat.Mzxid)
			c.Items = append(c.Items, itemOf(join(directory, one.name), one.value))
		}
		c.Revision = revision(newest)
		return c, err
	})
}

// below lists what stands below a node.
func (b *backend) below(ctx context.Context, s *session, directory string) (list, error) {
	if err := b.freshen(ctx, s, false); err != nil {
		return list{}, err
	}
	return s.children(ctx, directory)
}

func (b *backend) Keys(ctx context.Context, prefix string) ([]string, error) {
	directory := nodePath(prefix)
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) ([]string, error) {
		below, err := b.below(ctx, s, directory)
		var keys []string
		for _, name := range below.names {
			keys = append(keys, join(directory, name))
		}
		return keys, ignoreMissing(err)
	})
}

// ListServices reads one instance of each service.
func (b *backend) ListServices(ctx context.Context) ([]string, error) {
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) ([]string, error) {
		root := nodePath(b.layout.ServicesPrefix())
		services, err := b.below(ctx, s, root)
		if err != nil {
			return []string{}, ignoreMissing(err)
		}
		found, err := readAllowed(ctx, s, root, services.names, func(ctx context.Context, directory string) (*layout.Record, error) {
			return b.anyInstance(ctx, s, directory)
		})
		records := []layout.Record{}
		for _, one := range found {
			if one.value != nil {
				records = append(records, *one.value)
			}
		}
		return layout.Services(b.layout, b.config.Log, records), err
	})
}

// anyInstance gives one record of an instance below a service's node, nil when it has none.
func (b *backend) anyInstance(ctx context.Context, s *session, directory string) (*layout.Record, error) {
	below, err := s.children(ctx, directory)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var refused error
	for _, name := range below.names {
		n, err := s.get(ctx, join(directory, name))
		switch {
		case missing(err):
			continue
		case denied(err):
			refused = err
			continue
		case err != nil:
			return nil, err
		}
		record := layout.Record{Key: join(directory, name), Value: n.data}
		if _, err := b.layout.Decode(record.Key, record.Value); err == nil {
			return &record, nil
		}
	}
	return nil, refused
}

func (b *backend) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl > 0 {
		return b.putFor(ctx, key, value, ttl)
	}
	return do(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) error { return s.write(ctx, key, value) })
}

func (b *backend) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) (bool, error) {
		var err error
		if was.Gone {
			_, err = s.create(ctx, was.Key, value, zk.FlagPersistent)
		} else {
			_, err = s.set(ctx, was.Key, value, was.Note.(*zk.Stat).Version)
		}
		if changed(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (b *backend) Delete(ctx context.Context, key string) (found bool, err error) {
	again := false
	return call(ctx, b.ensemble, b.shared, func(ctx context.Context, s *session) (bool, error) {
		err := s.delete(ctx, key, -1)
		if missing(err) {
			return again, nil // again: a try that had no answer did it
		}
		again = broken(err)
		return err == nil, err
	})
}

// putFor writes a value on a session of its own, whose time-out is the last of its TTL: then the value
// outlives this process by that.
func (b *backend) putFor(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s, err := b.begin(ttl, 2*(leastRoom+2*len(key)+len(value)))
	if err != nil {
		return err
	}
	err = do(ctx, b.ensemble, s.only, func(ctx context.Context, s *session) error { return s.place(ctx, key, value) })
	if err != nil {
		s.close()
		if driver.IsGap(err) {
			err = discovery.Mark(discovery.ErrUnavailable, errEnded)
		}
		return err
	}
	_, granted := s.identity()
	hold := time.NewTimer(ttl - granted)
	b.registry.Go(context.Background(), func(ctx context.Context) {
		defer hold.Stop()
		select {
		case <-hold.C:
		case <-s.ended:
		case <-ctx.Done():
		}
		s.abandon()
	})
	return nil
}
