package zookeeper

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

func (r *registry) Get(ctx context.Context, name string) ([]byte, error) {
	const op = "read value"
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	return call(ctx, r, op, name, r.connection.get, func(ctx context.Context, s *session) ([]byte, error) {
		if err := r.sync(ctx, s); err != nil {
			return nil, err
		}
		n, err := s.get(ctx, key)
		if missing(err) {
			return nil, discovery.ErrNotFound
		}
		return n.data, err
	})
}

func (r *registry) Put(ctx context.Context, name string, value []byte, ttl time.Duration) error {
	const op = "write value"
	key, err := r.layout.ValueKey(name)
	if err == nil {
		err = discovery.ValidValue(name, value)
	}
	if err == nil && ttl < 0 {
		_, err = discovery.ValidTTL(ttl)
	}
	if err != nil {
		return r.fail(op, name, err)
	}
	if ttl > 0 {
		return r.putFor(ctx, op, name, key, value, ttl)
	}
	_, err = call(ctx, r, op, name, r.connection.get, func(ctx context.Context, s *session) (any, error) {
		return nil, s.write(ctx, key, value)
	})
	return err
}

// errFence is that a condition of a write does not hold.
var errFence = errors.New("the condition does not hold")

// write makes a node hold data for ever, whoever had it before; with fences only if they hold.
func (s *session) write(ctx context.Context, path string, data []byte, fences ...any) error {
	for {
		results, at, err := s.together(ctx, fenced(fences, &zk.SetDataRequest{Path: path, Data: data, Version: -1})...)
		switch {
		case err == nil && results[len(fences)].Stat.EphemeralOwner != 0: // it would go with its session
			at, err = s.replace(ctx, path, data, zk.FlagPersistent, results[len(fences)].Stat, fences...)
		case missing(err) && at == len(fences):
			if err = s.makeParents(ctx, path); err == nil {
				_, at, err = s.together(ctx, fenced(fences, s.creation(path, data, zk.FlagPersistent))...)
			}
		}
		if err != nil && at >= 0 && at < len(fences) {
			return errFence
		}
		if !changed(err) {
			return err
		}
	}
}

func fenced(fences []any, operation any) []any { return append(slices.Clone(fences), operation) }

// putFor writes a value on a session of its own, whose time-out is the last of its TTL: then the value
// outlives this process by that.
func (r *registry) putFor(ctx context.Context, op, name, key string, value []byte, ttl time.Duration) error {
	s, err := r.begin(ttl, false, 2*(leastRoom+2*len(key)+len(value)))
	if err != nil {
		return r.fail(op, name, err)
	}
	_, err = call(ctx, r, op, name, s.only, func(ctx context.Context, s *session) (any, error) {
		return nil, s.place(ctx, key, value)
	})
	if err != nil {
		s.close()
		if driver.IsGap(err) {
			err = r.fail(op, name, discovery.Mark(discovery.ErrUnavailable, errEnded))
		}
		return err
	}
	_, granted := s.identity()
	hold := time.NewTimer(ttl - granted)
	r.group.Go(context.Background(), func(ctx context.Context) {
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

// place makes a node of this session, in the place of whatever is there.
func (s *session) place(ctx context.Context, path string, data []byte) error {
	for {
		_, err := s.create(ctx, path, data, zk.FlagEphemeral)
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		stat, err := s.stat(ctx, path)
		if err == nil && stat == nil {
			continue
		}
		if err == nil {
			_, err = s.replace(ctx, path, data, zk.FlagEphemeral, stat)
		}
		if !changed(err) {
			return err
		}
	}
}

func (r *registry) Delete(ctx context.Context, name string) error {
	const op = "delete value"
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return r.fail(op, name, err)
	}
	again := false
	_, err = call(ctx, r, op, name, r.connection.get, func(ctx context.Context, s *session) (any, error) {
		err := s.delete(ctx, key, -1)
		if missing(err) && again {
			return nil, nil // a try that had no answer did it
		}
		if missing(err) {
			return nil, discovery.ErrNotFound
		}
		again = broken(err)
		return nil, err
	})
	return err
}

func (r *registry) List(ctx context.Context) ([]string, error) {
	directory := nodePath(r.layout.ValuesPrefix())
	below, err := call(ctx, r, "list values", "", r.connection.get, func(ctx context.Context, s *session) (list, error) {
		if err := r.sync(ctx, s); err != nil {
			return list{}, err
		}
		below, err := s.children(ctx, directory)
		return below, ignoreMissing(err)
	})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, one := range below.names {
		name, err := r.layout.ValueName(join(directory, one))
		if err != nil {
			r.config.Log.Warn("skipping a node that is no value", "node", join(directory, one), "error", err)
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *registry) WatchValue(ctx context.Context, name string) (<-chan discovery.Value, error) {
	const op = "watch value"
	key, err := r.layout.ValueKey(name)
	if err != nil {
		return nil, r.fail(op, name, err)
	}
	return driver.WatchValues(ctx, r.group, &keySource[discovery.Value]{
		registry: r,
		op:       op,
		name:     name,
		path:     key,
		decode: func(data []byte, found bool) discovery.Value {
			return discovery.Value{Data: data, Found: found}
		},
	}, name, r.config.Log)
}
