package registrytest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// fed is a registry that is read only, with another whose announcements it finds.
type fed struct {
	discovery.Registry
	feed discovery.Registry
}

// Register is that of the other.
func (f fed) Register(ctx context.Context, in discovery.Instance, ttl time.Duration, options ...discovery.RegisterOption) (discovery.Registration, error) {
	return f.feed.Register(ctx, in, ttl, options...)
}

// Close closes both.
func (f fed) Close() error { return errors.Join(f.feed.Close(), f.Registry.Close()) }

// services lists the services; of an engine that is read only it sees that this is refused.
func (s *suite) services(registry discovery.Registry, want ...string) {
	s.Helper()
	services, err := registry.Services(s.ctx)
	if s.Feed != nil {
		s.isError(err, discovery.ErrUnsupported)
		return
	}
	s.noError(err)
	require.Equal(s, append([]string{}, want...), services)
}

// readOnly: what writes is refused at once, with a reason.
func readOnly(s *suite) {
	s.need("a registry that is read only", s.Feed != nil)
	registry := s.openURL(s.URL(s.prefix))
	_, err := registry.Register(s.ctx, s.instance("web", "a", 1), 0)
	s.isError(err, discovery.ErrUnsupported)
	if values, can := registry.(discovery.Values); can {
		s.isError(values.Put(s.ctx, "NAME", []byte("x"), 0), discovery.ErrUnsupported)
		_, err = values.List(s.ctx)
		s.isError(err, discovery.ErrUnsupported)
	}
	if all, can := registry.(discovery.AllValues); can {
		_, err = all.GetAll(s.ctx)
		s.isError(err, discovery.ErrUnsupported)
		_, err = all.WatchAll(s.ctx)
		s.isError(err, discovery.ErrUnsupported)
	}
	if elector, can := registry.(discovery.Elector); can {
		_, err := elector.Campaign(s.ctx, "NAME", 0)
		s.isError(err, discovery.ErrUnsupported)
	}
	require.Empty(s, s.read(registry, "web", discovery.Query{}).Instances)
}
