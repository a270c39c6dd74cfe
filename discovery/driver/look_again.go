package driver

import "context"

// LookAgain makes a Source of reading a place anew whenever something may have changed: look reads all that is there,
// and gives what blocks until it is time to look again, or its context ends.
func LookAgain(look func(context.Context) (c Changes, wait func(context.Context) error, err error)) Source {
	return &lookAgain{look: look}
}

type lookAgain struct {
	look func(context.Context) (Changes, func(context.Context) error, error)
	wait func(context.Context) error // of the last look
}

func (s *lookAgain) Read(ctx context.Context) (Changes, error) {
	c, wait, err := s.look(ctx)
	if err == nil {
		s.wait = wait
	}
	return c, err
}

func (s *lookAgain) Next(ctx context.Context) (Changes, error) {
	if err := s.wait(ctx); err != nil {
		return Changes{}, err
	}
	return s.Read(ctx)
}

func (s *lookAgain) Close() {}
