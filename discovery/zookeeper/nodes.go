package zookeeper

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"

	"github.com/envharness/envharness/discovery"
)

// maxRequest is what a server takes in one request, with some room for what is around the data: its
// jute.maxbuffer is a megabyte, and a longer request costs the connection.
const maxRequest = 1_000_000

func validSize(key string, data []byte) error {
	if len(key)+len(data) > maxRequest {
		return discovery.Invalidf("the record has %d bytes, ZooKeeper takes %d at most", len(key)+len(data), maxRequest)
	}
	return nil
}

// access says who may use what is written; the empty word decides by whether there is a user.
type access func() []zk.ACL

var accesses = map[string]access{
	"":        nil,
	"creator": func() []zk.ACL { return zk.AuthACL(zk.PermAll) },
	"read":    func() []zk.ACL { return append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...) },
	"open":    func() []zk.ACL { return zk.WorldACL(zk.PermAll) },
}

func accessFor(word string, login discovery.Credentials) (access, error) {
	switch {
	case word == "" && login.IsZero():
		word = "open"
	case word == "":
		word = "creator"
	case word != "open" && login.IsZero():
		return nil, discovery.Invalidf("acl=%s needs a user", word)
	}
	return accesses[word], nil
}

// node is what a node holds.
type node struct {
	data []byte
	stat *zk.Stat
}

// list is what stands below a node.
type list struct {
	names []string
	stat  *zk.Stat
}

// nodePath is a layout's prefix or key as a node.
func nodePath(key string) string { return "/" + strings.Trim(key, "/") }

// join gives the path of a node below another. The name is one that the server gave, so nothing is cleaned.
func join(directory, name string) string { return strings.TrimSuffix(directory, "/") + "/" + name }

func missing(err error) bool { return errors.Is(err, zk.ErrNoNode) }

func denied(err error) bool { return errors.Is(err, zk.ErrNoAuth) }

func ignoreMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

func (s *session) sync(ctx context.Context) error {
	_, err := ask(ctx, s, func(c *zk.Conn) (string, error) { return c.Sync("/") })
	return err
}

func (s *session) get(ctx context.Context, at string) (node, error) {
	return ask(ctx, s, func(c *zk.Conn) (node, error) {
		data, stat, err := c.Get(at)
		return node{data, stat}, err
	})
}

func (s *session) children(ctx context.Context, at string) (list, error) {
	return ask(ctx, s, func(c *zk.Conn) (list, error) {
		names, stat, err := c.Children(at)
		return list{names, stat}, err
	})
}

// stat is nil when there is no such node.
func (s *session) stat(ctx context.Context, at string) (*zk.Stat, error) {
	return ask(ctx, s, func(c *zk.Conn) (*zk.Stat, error) {
		exists, stat, err := c.Exists(at)
		if !exists {
			stat = nil
		}
		return stat, err
	})
}

func (s *session) set(ctx context.Context, at string, data []byte, version int32) (*zk.Stat, error) {
	return ask(ctx, s, func(c *zk.Conn) (*zk.Stat, error) { return c.Set(at, data, version) })
}

func (s *session) delete(ctx context.Context, at string, version int32) error {
	_, err := ask(ctx, s, func(c *zk.Conn) (any, error) { return nil, c.Delete(at, version) })
	return err
}

// create makes a node, and those above it, and gives the name that it got.
func (s *session) create(ctx context.Context, at string, data []byte, flags int32) (string, error) {
	for {
		made, err := ask(ctx, s, func(c *zk.Conn) (string, error) {
			return c.Create(at, data, flags, s.backend.access())
		})
		if !missing(err) {
			return made, err
		}
		if err := s.makeParents(ctx, at); err != nil {
			return "", err
		}
	}
}

// makeParents makes the nodes above one, from below: who may write there may not be let in further up.
func (s *session) makeParents(ctx context.Context, at string) error {
	parent := path.Dir(at)
	if parent == "/" {
		return nil
	}
	_, err := s.create(ctx, parent, nil, zk.FlagPersistent)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

func (s *session) creation(at string, data []byte, flags int32) *zk.CreateRequest {
	return &zk.CreateRequest{Path: at, Data: data, Acl: s.backend.access(), Flags: flags}
}

// together does several operations or none. The index is that of the one that could not be done.
func (s *session) together(ctx context.Context, operations ...any) ([]zk.MultiResponse, int, error) {
	results, err := ask(ctx, s, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(operations...) })
	for i, result := range results {
		if result.Error != nil {
			return results, i, result.Error
		}
	}
	return results, -1, err
}

// replace puts a node in the place of another, which must not have changed since. Its version is another than
// the former one's, so that a change meant for that does not hit it.
func (s *session) replace(ctx context.Context, at string, data []byte, flags int32, former *zk.Stat, before ...any) (int, error) {
	operations := append(before, &zk.DeleteRequest{Path: at, Version: former.Version})
	if former.Version == 0 {
		operations = append(operations, s.creation(at, nil, flags), &zk.SetDataRequest{Path: at, Data: data, Version: 0})
	} else {
		operations = append(operations, s.creation(at, data, flags))
	}
	_, at2, err := s.together(ctx, operations...)
	return at2, err
}

// changed reports whether what an operation was meant for is no longer what it was.
func changed(err error) bool {
	return errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNodeExists) || errors.Is(err, zk.ErrNoNode)
}

// result is what came of reading one of several. The error is zk.ErrNoNode, zk.ErrNoAuth or nil.
type result[T any] struct {
	name  string
	value T
	err   error
}

// readEach reads what stands below a node, several at once. What is gone meanwhile or must not be read is told
// by its result: whoever may write beside others could otherwise hide them.
func readEach[T any](ctx context.Context, s *session, directory string, names []string, read func(context.Context, string) (T, error)) ([]result[T], error) {
	for {
		user := s.user()
		results := make([]result[T], len(names))
		var refused atomic.Bool
		err := inParallel(ctx, len(names), func(ctx context.Context, i int) error {
			value, err := read(ctx, join(directory, names[i]))
			results[i] = result[T]{names[i], value, err}
			if denied(err) {
				refused.Store(true)
				return nil
			}
			return ignoreMissing(err)
		})
		if err != nil || !refused.Load() || !s.loginAnew(ctx, user) {
			return results, err
		}
	}
}

// readAllowed is readEach for what may be read. With nothing that may be read, its error is zk.ErrNoAuth.
func readAllowed[T any](ctx context.Context, s *session, directory string, names []string, read func(context.Context, string) (T, error)) ([]result[T], error) {
	results, err := readEach(ctx, s, directory, names, read)
	if err != nil {
		return nil, err
	}
	var allowed []result[T]
	var refused []string
	for _, one := range results {
		switch {
		case one.err == nil:
			allowed = append(allowed, one)
		case denied(one.err):
			refused = append(refused, join(directory, one.name))
		}
	}
	if len(allowed) == 0 && len(refused) > 0 {
		return nil, zk.ErrNoAuth
	}
	for _, path := range refused {
		s.backend.warnDenied(path)
	}
	return allowed, nil
}

func (r *backend) warnDenied(path string) {
	r.config.Log.Warn("skipping a node that this user may not read", "node", path)
}

// pipeline is how many requests are under way at once: each is answered in its turn, so waiting for one
// before the next costs a round trip each.
const pipeline = 32

// inParallel does n things, several at once, and gives the first error.
func inParallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, pipeline) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
