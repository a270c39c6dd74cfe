package zookeeper

import (
	"context"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/layout"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
)

// nodePath is a layout's prefix or key as a node.
func nodePath(key string) string { return "/" + strings.Trim(key, "/") }

// itemOf takes an item's version from all that its node says of it: the number of its last change alone does not
// identify what stands there, when the ensemble has lost its data.
func itemOf(key string, n ensemble.Node) driver.Item {
	return driver.Item{
		Key:     key,
		Value:   n.Data,
		Version: driver.Version{n.Stat.Mzxid, n.Stat.Mtime, n.Stat.EphemeralOwner, int64(n.Stat.Version)},
		Note:    n.Stat,
	}
}

// freshen makes the server that is asked as new as the leader, unless the URL lets it be.
func (b *backend) freshen(ctx context.Context, s *ensemble.Session, latest bool) error {
	if b.config.Stale && !latest {
		return nil
	}
	return s.Sync(ctx)
}

func (b *backend) Get(ctx context.Context, key string, latest bool) (driver.Item, error) {
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) (driver.Item, error) {
		if err := b.freshen(ctx, s, latest); err != nil {
			return driver.Item{}, err
		}
		n, err := s.Get(ctx, key)
		if err != nil {
			return driver.Item{Key: key, Gone: true}, ensemble.IgnoreMissing(err)
		}
		return itemOf(key, n), nil
	})
}

func (b *backend) List(ctx context.Context, prefix string) (driver.Changes, error) {
	directory := nodePath(prefix)
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) (driver.Changes, error) {
		c := driver.Changes{Whole: true, Revision: revision(0)}
		below, err := b.below(ctx, s, directory)
		if c.Never = ensemble.Missing(err); err != nil {
			return c, ensemble.IgnoreMissing(err)
		}
		nodes, err := ensemble.ReadAllowed(ctx, s, directory, below.Names, s.Get)
		newest := below.Stat.Pzxid
		for _, one := range nodes {
			newest = max(newest, one.Value.Stat.Mzxid)
			c.Items = append(c.Items, itemOf(ensemble.Join(directory, one.Name), one.Value))
		}
		c.Revision = revision(newest)
		return c, err
	})
}

// below lists what stands below a node.
func (b *backend) below(ctx context.Context, s *ensemble.Session, directory string) (ensemble.List, error) {
	if err := b.freshen(ctx, s, false); err != nil {
		return ensemble.List{}, err
	}
	return s.Children(ctx, directory)
}

func (b *backend) Keys(ctx context.Context, prefix string) ([]string, error) {
	directory := nodePath(prefix)
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) ([]string, error) {
		below, err := b.below(ctx, s, directory)
		var keys []string
		for _, name := range below.Names {
			keys = append(keys, ensemble.Join(directory, name))
		}
		return keys, ensemble.IgnoreMissing(err)
	})
}

// ListServices reads one instance of each service.
func (b *backend) ListServices(ctx context.Context) ([]string, error) {
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) ([]string, error) {
		root := nodePath(b.layout.ServicesPrefix())
		services, err := b.below(ctx, s, root)
		if err != nil {
			return []string{}, ensemble.IgnoreMissing(err)
		}
		found, err := ensemble.ReadAllowed(ctx, s, root, services.Names, func(ctx context.Context, directory string) (*layout.Record, error) {
			return b.anyInstance(ctx, s, directory)
		})
		records := []layout.Record{}
		for _, one := range found {
			if one.Value != nil {
				records = append(records, *one.Value)
			}
		}
		return layout.Services(b.layout, b.config.Log, records), err
	})
}

// anyInstance gives one record of an instance below a service's node, nil when it has none.
func (b *backend) anyInstance(ctx context.Context, s *ensemble.Session, directory string) (*layout.Record, error) {
	below, err := s.Children(ctx, directory)
	if err != nil {
		return nil, ensemble.IgnoreMissing(err)
	}
	var refused error
	for _, name := range below.Names {
		n, err := s.Get(ctx, ensemble.Join(directory, name))
		switch {
		case ensemble.Missing(err):
			continue
		case ensemble.Denied(err):
			refused = err
			continue
		case err != nil:
			return nil, err
		}
		record := layout.Record{Key: ensemble.Join(directory, name), Value: n.Data}
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
	return ensemble.Do(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) error { return s.Write(ctx, key, value) })
}

func (b *backend) Swap(ctx context.Context, was driver.Item, value []byte) (swapped bool, err error) {
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) (bool, error) {
		var err error
		if was.Gone {
			_, err = s.Create(ctx, was.Key, value, zk.FlagPersistent)
		} else {
			_, err = s.Set(ctx, was.Key, value, was.Note.(*zk.Stat).Version)
		}
		if ensemble.Changed(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (b *backend) Delete(ctx context.Context, key string) (found bool, err error) {
	again := false
	return ensemble.Call(ctx, b.Ensemble, b.Shared, func(ctx context.Context, s *ensemble.Session) (bool, error) {
		err := s.Delete(ctx, key, -1)
		if ensemble.Missing(err) {
			return again, nil // again: a try that had no answer did it
		}
		again = ensemble.Broken(err)
		return err == nil, err
	})
}

// putFor writes a value on a session of its own, whose time-out is the last of its TTL: then the value
// outlives this process by that.
func (b *backend) putFor(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s, err := b.Begin(ttl, 2*(ensemble.LeastRoom+2*len(key)+len(value)))
	if err != nil {
		return err
	}
	err = ensemble.Do(ctx, b.Ensemble, s.Only, func(ctx context.Context, s *ensemble.Session) error { return s.Place(ctx, key, value) })
	if err != nil {
		s.Close()
		if driver.IsGap(err) {
			err = discovery.Mark(discovery.ErrUnavailable, ensemble.ErrEnded)
		}
		return err
	}
	_, granted := s.Identity()
	hold := time.NewTimer(ttl - granted)
	b.registry.Go(context.Background(), func(ctx context.Context) {
		defer hold.Stop()
		select {
		case <-hold.C:
		case <-s.Ended():
		case <-ctx.Done():
		}
		s.Abandon()
	})
	return nil
}
