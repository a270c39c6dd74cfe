package etcd2

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v2"

	"github.com/envharness/envharness/discovery"
	driver "github.com/envharness/envharness/discovery/olddriver"
)

// feeds are those of a registry that are watched.
type feeds struct {
	registry *registry
	lock     sync.Mutex
	byKey    map[string]*feed
	pulse    sync.Once
}

func newFeeds(r *registry) *feeds { return &feeds{registry: r, byKey: map[string]*feed{}} }

// acquire gives the feed of a key; its release follows.
func (s *feeds) acquire(op, name, key string, records bool) *feed {
	key = strings.TrimSuffix(key, "/")
	s.lock.Lock()
	defer s.lock.Unlock()
	f := s.byKey[key]
	if f == nil {
		f = &feed{
			registry: s.registry,
			op:       op,
			name:     name,
			key:      key,
			records:  records,
			entries:  entries{log: s.registry.config.Log},
			reading:  make(chan struct{}, 1),
			broken:   driver.ErrGap,
			changed:  make(chan struct{}),
		}
		if records {
			f.entries.layout = s.registry.layout
		}
		s.byKey[key] = f
	}
	f.watches++
	s.pulse.Do(func() { s.registry.group.Go(context.Background(), s.beat) })
	return f
}

func (s *feeds) release(f *feed) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if f.watches--; f.watches == 0 {
		delete(s.byKey, f.key)
		f.close()
	}
}

// pulseInterval is how often the registry is asked whether it is there, while something is watched: a long
// poll cannot tell silence from an outage.
const pulseInterval = 3 * time.Second

// beat ends all long polls when the registry gives no answer.
func (s *feeds) beat(ctx context.Context) {
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !s.inUse() {
			continue
		}
		if err := s.registry.reach(ctx); err != nil && ctx.Err() == nil {
			s.registry.connection.disrupt(err)
		}
	}
}

func (s *feeds) inUse() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.byKey) > 0
}

// reach asks for a key, as a read would.
func (r *registry) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.config.Timeout, 2*pulseInterval))
	defer cancel()
	_, err := call(ctx, r, "reach", "", func(ctx context.Context, keys client.KeysAPI) (any, error) {
		_, _, err := found(keys.Get(ctx, r.layout.ValuesPrefix()+"%", &client.GetOptions{Quorum: !r.config.Stale}))
		return nil, err
	})
	if errors.Is(err, discovery.ErrDenied) {
		return nil // it is there, and says so
	}
	return err
}
