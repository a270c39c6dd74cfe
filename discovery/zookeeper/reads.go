package zookeeper

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
)

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
		s.ensemble.warnDenied(path)
	}
	return allowed, nil
}

// warnDenied tells of a node that is skipped.
func (e *ensemble) warnDenied(path string) {
	e.config.Log.Warn("skipping a node that this user may not read", "node", path)
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
