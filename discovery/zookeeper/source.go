package zookeeper

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
)

// grace is how long a watch whose connection was lost waits for another before it is an outage.
const grace = discovery.ConnectTimeout

// source follows a node, or all nodes below one, by watches of the shared session. A watch's event says that something
// has changed, once; what it is, is read.
type source struct {
	backend *backend
	path    string
	below   bool

	limit   time.Duration // of waiting for a connection
	session *session
	reader  *reader
	pending map[string]bool // paths that have changed and were not read yet
	nodes   map[string]bool // names below, and whether they must not be read
	newest  int64           // change
	exists  bool
}

func (b *backend) Follow(key string) driver.Source {
	return &source{backend: b, path: nodePath(key), below: strings.HasSuffix(key, "/"), limit: b.config.Timeout, nodes: map[string]bool{}}
}

func (s *source) Read(ctx context.Context) (driver.Changes, error) {
	limit := s.limit
	s.limit = s.backend.config.Timeout
	shared, err := s.backend.connected(ctx, limit)
	if err != nil {
		return driver.Changes{}, err
	}
	s.Close()
	s.session, s.reader = shared, shared.watches.reader()
	s.pending = map[string]bool{}
	s.reader.add(s.path)
	for name := range s.nodes {
		s.reader.add(join(s.path, name))
	}
	return call(ctx, s.backend.ensemble, shared.only, func(ctx context.Context, _ *session) (driver.Changes, error) {
		if err := shared.sync(ctx); err != nil {
			return driver.Changes{}, err
		}
		s.newest = 0 // the ensemble may have lost its data
		c, err := s.look(ctx, nil)
		c.Whole = true
		return c, err
	})
}

func (s *source) Next(ctx context.Context) (driver.Changes, error) {
	if len(s.pending) == 0 {
		select {
		case <-s.reader.wake:
		case <-s.session.ended:
			s.limit = grace // another connection may be there at once
			return driver.Changes{}, driver.ErrGap
		case <-ctx.Done():
			return driver.Changes{}, ctx.Err()
		}
	}
	return s.take(ctx, false)
}

// Refresh reads what has changed until a sync.
func (s *source) Refresh(ctx context.Context) (driver.Changes, error) { return s.take(ctx, true) }

// take reads what has changed; with fresh until now.
func (s *source) take(ctx context.Context, fresh bool) (driver.Changes, error) {
	c, err := call(ctx, s.backend.ensemble, s.session.only, func(ctx context.Context, shared *session) (driver.Changes, error) {
		if fresh {
			if err := shared.sync(ctx); err != nil {
				return driver.Changes{}, err
			}
		}
		maps.Copy(s.pending, s.reader.take())
		return s.look(ctx, s.pending)
	})
	if err == nil {
		clear(s.pending)
	} else if s.session.isOver() && ctx.Err() == nil {
		s.limit, err = grace, driver.ErrGap
	}
	return c, err
}

// look reads the paths in changed, all when that is nil.
func (s *source) look(ctx context.Context, changed map[string]bool) (driver.Changes, error) {
	var items []driver.Item
	var err error
	switch {
	case !s.below && (changed == nil || changed[s.path]):
		items, err = s.lookAtOne(ctx)
	case changed == nil || changed[s.path]:
		items, err = s.list(ctx, changed)
	default:
		var names []string
		for name := range s.nodes {
			if changed[join(s.path, name)] {
				names = append(names, name)
			}
		}
		items, err = s.read(ctx, names)
	}
	return driver.Changes{Items: items, Revision: revision(s.newest), Never: !s.exists}, err
}

func (s *source) lookAtOne(ctx context.Context) ([]driver.Item, error) {
	n, found, err := orMissing(ctx, s.session, s.path, s.session.getWatched)
	if err != nil || !found {
		return []driver.Item{{Key: s.path, Gone: true}}, err
	}
	return []driver.Item{itemOf(s.path, n)}, nil
}

// list reads which nodes there are, and those that are new, in changed, or were denied, on which no watch can be
// set; all of them when changed is nil.
func (s *source) list(ctx context.Context, changed map[string]bool) ([]driver.Item, error) {
	below, found, err := orMissing(ctx, s.session, s.path, s.session.childrenWatched)
	if err != nil {
		return nil, err
	}
	if s.exists = found; found {
		s.newest = max(s.newest, below.stat.Pzxid)
	}
	there := make(map[string]bool, len(below.names))
	var names []string
	for _, name := range below.names {
		there[name] = true
		if refused, had := s.nodes[name]; !had || refused || changed == nil || changed[join(s.path, name)] {
			names = append(names, name)
		}
	}
	var items []driver.Item
	for name := range s.nodes {
		if !there[name] {
			items = append(items, s.forget(name))
		}
	}
	read, err := s.read(ctx, names)
	return append(items, read...), err
}

// read reads nodes.
func (s *source) read(ctx context.Context, names []string) ([]driver.Item, error) {
	for _, name := range names {
		s.reader.add(join(s.path, name))
	}
	results, err := readEach(ctx, s.session, s.path, names, s.session.getWatched)
	if err != nil {
		return nil, err
	}
	items := make([]driver.Item, len(results))
	for i, one := range results {
		items[i] = s.replace(one)
	}
	if s.allDenied() {
		return nil, zk.ErrNoAuth
	}
	return items, nil
}

// allDenied reports whether there are nodes, and none that may be read.
func (s *source) allDenied() bool {
	for _, refused := range s.nodes {
		if !refused {
			return false
		}
	}
	return len(s.nodes) > 0
}

// replace takes over what was read of a node.
func (s *source) replace(read result[node]) driver.Item {
	path := join(s.path, read.name)
	switch {
	case missing(read.err): // the list shows when it is there again
		return s.forget(read.name)
	case denied(read.err):
		if !s.nodes[read.name] {
			s.backend.warnDenied(path)
		}
		s.nodes[read.name] = true
		return driver.Item{Key: path, Gone: true}
	}
	s.nodes[read.name] = false
	s.newest = max(s.newest, read.value.stat.Mzxid)
	return itemOf(path, read.value)
}

func (s *source) forget(name string) driver.Item {
	path := join(s.path, name)
	delete(s.nodes, name)
	s.reader.remove(path)
	return driver.Item{Key: path, Gone: true}
}

// Close unsubscribes.
func (s *source) Close() {
	if s.reader != nil {
		s.reader.close()
		s.reader = nil
	}
}
