package ensemble

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
)

// Result is what came of reading one of several. The error is zk.ErrNoNode, zk.ErrNoAuth or nil.
type Result[T any] struct {
	Name  string
	Value T
	Err   error
}

// ReadEach reads what stands below a node, several at once. What is gone meanwhile or must not be read is told
// by its result: whoever may write beside others could otherwise hide them.
func ReadEach[T any](ctx context.Context, s *Session, directory string, names []string, read func(context.Context, string) (T, error)) ([]Result[T], error) {
	for {
		user := s.user()
		results := make([]Result[T], len(names))
		var refused atomic.Bool
		err := inParallel(ctx, len(names), func(ctx context.Context, i int) error {
			value, err := read(ctx, Join(directory, names[i]))
			results[i] = Result[T]{names[i], value, err}
			if Denied(err) {
				refused.Store(true)
				return nil
			}
			return IgnoreMissing(err)
		})
		if err != nil || !refused.Load() || !s.loginAnew(ctx, user) {
			return results, err
		}
	}
}

// ReadAllowed is ReadEach for what may be read. With nothing that may be read, its error is zk.ErrNoAuth.
func ReadAllowed[T any](ctx context.Context, s *Session, directory string, names []string, read func(context.Context, string) (T, error)) ([]Result[T], error) {
	results, err := ReadEach(ctx, s, directory, names, read)
	if err != nil {
		return nil, err
	}
	var allowed []Result[T]
	var refused []string
	for _, one := range results {
		switch {
		case one.Err == nil:
			allowed = append(allowed, one)
		case Denied(one.Err):
			refused = append(refused, Join(directory, one.Name))
		}
	}
	if len(allowed) == 0 && len(refused) > 0 {
		return nil, zk.ErrNoAuth
	}
	for _, path := range refused {
		s.ensemble.WarnDenied(path)
	}
	return allowed, nil
}

// WarnDenied tells of a node that is skipped.
func (e *Ensemble) WarnDenied(path string) {
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
