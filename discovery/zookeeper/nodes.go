package zookeeper

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

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

// join gives the path of a node below another. The name is one that the server gave, so nothing is cleaned.
func join(directory, name string) string { return strings.TrimSuffix(directory, "/") + "/" + name }

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
			return c.Create(at, data, flags, s.ensemble.access())
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
	return &zk.CreateRequest{Path: at, Data: data, Acl: s.ensemble.access(), Flags: flags}
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
