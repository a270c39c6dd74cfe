package zookeeper

import (
	"context"
	"time"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// grace is how long a watch whose connection was lost waits for another before it tells of an outage.
const grace = discovery.ConnectTimeout

func (r *registry) Watch(ctx context.Context, service string, q discovery.Query) (<-chan discovery.Snapshot, error) {
	prefix, err := r.layout.ServicePrefix(service)
	if err != nil {
		return nil, r.fail("watch service", service, err)
	}
	follower := r.hubs.join(r, service, nodePath(prefix), q)
	return driver.WatchSnapshots(ctx, r.group, follower, service, r.config.Log)
}

// connected gives the shared session once it can be asked, for which it waits no longer than limit.
func (r *registry) connected(ctx context.Context, op, name string, limit time.Duration) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx, r, op, name, r.connection.get, func(ctx context.Context, s *session) (*session, error) {
		return s, s.await(ctx)
	})
}

// only opens this session, and none after it: what it watches would be lost.
func (s *session) only(context.Context) (*session, error) {
	if s.isOver() {
		return nil, driver.ErrGap
	}
	return s, nil
}

// keySource follows one node. decode gets nil and false when it is not there.
type keySource[T any] struct {
	registry *registry
	op, name string
	path     string
	decode   func(data []byte, found bool) T

	begun   bool
	session *session
	reader  *reader
}

func (k *keySource[T]) Read(ctx context.Context) (value T, err error) {
	r := k.registry
	limit := r.config.Timeout
	if k.begun {
		limit = grace
	}
	s, err := r.connected(ctx, k.op, k.name, limit)
	if err != nil {
		return value, err
	}
	k.Close()
	k.session, k.reader = s, s.news.reader()
	k.reader.add(k.path)
	if _, err = call(ctx, r, k.op, k.name, s.only, syncOnly); err != nil {
		return value, err
	}
	value, err = k.look(ctx)
	k.begun = k.begun || err == nil
	return value, err
}

func syncOnly(ctx context.Context, s *session) (any, error) { return nil, s.sync(ctx) }

// look reads what is there now.
func (k *keySource[T]) look(ctx context.Context) (T, error) {
	return call(ctx, k.registry, k.op, k.name, k.session.only, func(ctx context.Context, s *session) (value T, err error) {
		n, found, err := orMissing(ctx, s, k.path, s.getWatched)
		if err != nil {
			return value, err
		}
		return k.decode(n.data, found), nil
	})
}

func (k *keySource[T]) Next(ctx context.Context) (value T, err error) {
	select {
	case <-k.reader.wake:
		return k.look(ctx)
	case <-k.session.ended:
		return value, driver.ErrGap
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

// Close wants to know no more.
func (k *keySource[T]) Close() {
	if k.reader != nil {
		k.reader.close()
		k.reader = nil
	}
}
