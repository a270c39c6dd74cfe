package zookeeper

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/driver"
	"github.com/envharness/envharness/discovery/zookeeper/internal/ensemble"
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
	session *ensemble.Session
	reader  *ensemble.Reader
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
	shared, err := s.backend.Connected(ctx, limit)
	if err != nil {
		return driver.Changes{}, err
	}
	s.Close()
	s.session, s.reader = shared, shared.Reader()
	s.pending = map[string]bool{}
	s.reader.Add(s.path)
	for name := range s.nodes {
		s.reader.Add(ensemble.Join(s.path, name))
	}
	return ensemble.Call(ctx, s.backend.Ensemble, shared.Only, func(ctx context.Context, _ *ensemble.Session) (driver.Changes, error) {
		if err := shared.Sync(ctx); err != nil {
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
		case <-s.reader.Changed():
		case <-s.session.Ended():
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
	c, err := ensemble.Call(ctx, s.backend.Ensemble, s.session.Only, func(ctx context.Context, shared *ensemble.Session) (driver.Changes, error) {
		if fresh {
			if err := shared.Sync(ctx); err != nil {
				return driver.Changes{}, err
			}
		}
		maps.Copy(s.pending, s.reader.Take())
		return s.look(ctx, s.pending)
	})
	if err == nil {
		clear(s.pending)
	} else if s.session.IsOver() && ctx.Err() == nil {
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
			if changed[ensemble.Join(s.path, name)] {
				names = append(names, name)
			}
		}
		items, err = s.read(ctx, names)
	}
	return driver.Changes{Items: items, Revision: revision(s.newest), Never: !s.exists}, err
}

func (s *source) lookAtOne(ctx context.Context) ([]driver.Item, error) {
	n, found, err := ensemble.OrMissing(ctx, s.session, s.path, s.session.GetWatched)
	if err != nil || !found {
		return []driver.Item{{Key: s.path, Gone: true}}, err
	}
	return []driver.Item{itemOf(s.path, n)}, nil
}

// list reads which nodes there are, and those that are new, in changed, or were denied, on which no watch can be
// set; all of them when changed is nil.
func (s *source) list(ctx context.Context, changed map[string]bool) ([]driver.Item, error) {
	below, found, err := ensemble.OrMissing(ctx, s.session, s.path, s.session.ChildrenWatched)
	if err != nil {
		return nil, err
	}
	if s.exists = found; found {
		s.newest = max(s.newest, below.Stat.Pzxid)
	}
	there := make(map[string]bool, len(below.Names))
	var names []string
	for _, name := range below.Names {
		there[name] = true
		if refused, had := s.nodes[name]; !had || refused || changed == nil || changed[ensemble.Join(s.path, name)] {
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
		s.reader.Add(ensemble.Join(s.path, name))
	}
	results, err := ensemble.ReadEach(ctx, s.session, s.path, names, s.session.GetWatched)
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
func (s *source) replace(read ensemble.Result[ensemble.Node]) driver.Item {
	path := ensemble.Join(s.path, read.Name)
	switch {
	case ensemble.Missing(read.Err): // the list shows when it is there again
		return s.forget(read.Name)
	case ensemble.Denied(read.Err):
		if !s.nodes[read.Name] {
			s.backend.WarnDenied(path)
		}
		s.nodes[read.Name] = true
		return driver.Item{Key: path, Gone: true}
	}
	s.nodes[read.Name] = false
	s.newest = max(s.newest, read.Value.Stat.Mzxid)
	return itemOf(path, read.Value)
}

func (s *source) forget(name string) driver.Item {
	path := ensemble.Join(s.path, name)
	delete(s.nodes, name)
	s.reader.Remove(path)
	return driver.Item{Key: path, Gone: true}
}

// Close unsubscribes.
func (s *source) Close() {
	if s.reader != nil {
		s.reader.Close()
		s.reader = nil
	}
}
