package files

import (
	"context"
	"time"
)

// source reads something and looks at it again when anything has changed, or the time of what it found is over. It
// implements driver.Source.
type source[T any] struct {
	registry *registry
	op, name string
	read     func(*directory) (T, error)
	same     func(a, b T) bool

	state    T
	revision int64
	expires  time.Time
}

func (s *source[T]) Read(ctx context.Context) (T, error) {
	err := s.registry.do(ctx, s.op, s.name, func(d *directory) (err error) {
		s.state, err = s.read(d)
		s.revision, s.expires = d.revision, d.expires
		return err
	})
	return s.state, err
}

func (s *source[T]) Next(ctx context.Context) (T, error) {
	for {
		before := s.state
		if err := s.await(ctx); err != nil {
			return before, err
		}
		if state, err := s.Read(ctx); err != nil || !s.same(before, state) {
			return state, err
		}
	}
}

// await returns when it is worth reading again.
func (s *source[T]) await(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.registry.fail(s.op, s.name, ctx.Err())
		case now := <-ticker.C:
			changed, err := s.registry.directory.changed(s.revision)
			if err != nil || changed || now.After(s.expires) {
				return s.registry.fail(s.op, s.name, err)
			}
		}
	}
}

func (s *source[T]) Close() {}
