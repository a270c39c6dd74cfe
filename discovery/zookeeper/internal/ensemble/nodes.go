package ensemble

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Node is what a node holds.
type Node struct {
	Data []byte
	Stat *zk.Stat
}

// List is what stands below a node.
type List struct {
	Names []string
	Stat  *zk.Stat
}

// Join gives the path of a node below another. The name is one that the server gave, so nothing is cleaned.
func Join(directory, name string) string { return strings.TrimSuffix(directory, "/") + "/" + name }

// Sync makes the server that is asked as new as the leader.
func (s *Session) Sync(ctx context.Context) error {
	_, err := ask(ctx, s, func(c *zk.Conn) (string, error) { return c.Sync("/") })
	return err
}

// Get reads a node.
func (s *Session) Get(ctx context.Context, at string) (Node, error) {
	return ask(ctx, s, func(c *zk.Conn) (Node, error) {
		data, stat, err := c.Get(at)
		return Node{data, stat}, err
	})
}

// Children lists what is below a node.
func (s *Session) Children(ctx context.Context, at string) (List, error) {
	return ask(ctx, s, func(c *zk.Conn) (List, error) {
		names, stat, err := c.Children(at)
		return List{names, stat}, err
	})
}

// Stat looks at a node; nil when there is none.
func (s *Session) Stat(ctx context.Context, at string) (*zk.Stat, error) {
	return ask(ctx, s, func(c *zk.Conn) (*zk.Stat, error) {
		exists, stat, err := c.Exists(at)
		if !exists {
			stat = nil
		}
		return stat, err
	})
}

// Set writes a node that is there, of this version, or of any with -1.
func (s *Session) Set(ctx context.Context, at string, data []byte, version int32) (*zk.Stat, error) {
	return ask(ctx, s, func(c *zk.Conn) (*zk.Stat, error) { return c.Set(at, data, version) })
}

// Delete removes a node of this version, or of any with -1.
func (s *Session) Delete(ctx context.Context, at string, version int32) error {
	_, err := ask(ctx, s, func(c *zk.Conn) (any, error) { return nil, c.Delete(at, version) })
	return err
}

// Create makes a node, and those above it, and gives the name that it got.
func (s *Session) Create(ctx context.Context, at string, data []byte, flags int32) (string, error) {
	for {
		made, err := ask(ctx, s, func(c *zk.Conn) (string, error) {
			return c.Create(at, data, flags, s.ensemble.access())
		})
		if !Missing(err) {
			return made, err
		}
		if err := s.makeParents(ctx, at); err != nil {
			return "", err
		}
	}
}

// makeParents makes the nodes above one, from below: who may write there may not be let in further up.
func (s *Session) makeParents(ctx context.Context, at string) error {
	parent := path.Dir(at)
	if parent == "/" {
		return nil
	}
	_, err := s.Create(ctx, parent, nil, zk.FlagPersistent)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// Creation is Create as one of several operations, without the nodes above.
func (s *Session) Creation(at string, data []byte, flags int32) *zk.CreateRequest {
	return &zk.CreateRequest{Path: at, Data: data, Acl: s.ensemble.access(), Flags: flags}
}

// Together does several operations or none. The index is that of the one that could not be done.
func (s *Session) Together(ctx context.Context, operations ...any) ([]zk.MultiResponse, int, error) {
	results, err := ask(ctx, s, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(operations...) })
	for i, result := range results {
		if result.Error != nil {
			return results, i, result.Error
		}
	}
	return results, -1, err
}

// Replace puts a node in the place of another, which must not have changed since. Its version is another than
// the former one's, so that a change meant for that does not hit it.
func (s *Session) Replace(ctx context.Context, at string, data []byte, flags int32, former *zk.Stat, before ...any) (int, error) {
	operations := append(before, &zk.DeleteRequest{Path: at, Version: former.Version})
	if former.Version == 0 {
		operations = append(operations, s.Creation(at, nil, flags), &zk.SetDataRequest{Path: at, Data: data, Version: 0})
	} else {
		operations = append(operations, s.Creation(at, data, flags))
	}
	_, at2, err := s.Together(ctx, operations...)
	return at2, err
}

// ErrFence is that a condition of a write does not hold.
var ErrFence = errors.New("the condition does not hold")

// Write makes a node hold data for ever, whoever had it before; with fences only if they hold.
func (s *Session) Write(ctx context.Context, path string, data []byte, fences ...any) error {
	for {
		results, at, err := s.Together(ctx, fenced(fences, &zk.SetDataRequest{Path: path, Data: data, Version: -1})...)
		switch {
		case err == nil && results[len(fences)].Stat.EphemeralOwner != 0: // it would go with its session
			at, err = s.Replace(ctx, path, data, zk.FlagPersistent, results[len(fences)].Stat, fences...)
		case Missing(err) && at == len(fences):
			if err = s.makeParents(ctx, path); err == nil {
				_, at, err = s.Together(ctx, fenced(fences, s.Creation(path, data, zk.FlagPersistent))...)
			}
		}
		if err != nil && at >= 0 && at < len(fences) {
			return ErrFence
		}
		if !Changed(err) {
			return err
		}
	}
}

func fenced(fences []any, operation any) []any { return append(slices.Clone(fences), operation) }

// Place makes a node of this session, in the place of whatever is there.
func (s *Session) Place(ctx context.Context, path string, data []byte) error {
	for {
		_, err := s.Create(ctx, path, data, zk.FlagEphemeral)
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		stat, err := s.Stat(ctx, path)
		if err == nil && stat == nil {
			continue
		}
		if err == nil {
			_, err = s.Replace(ctx, path, data, zk.FlagEphemeral, stat)
		}
		if !Changed(err) {
			return err
		}
	}
}
