package consul

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/envharness/envharness/discovery"
)

// feed is a part of Consul's state as it is now, kept by blocking queries for all who watch it.
type feed struct {
	registry *registry
	op, name string
	key      string // among the registry's feeds
	watches  int    // under the lock of feeds
	end      context.CancelFunc

	lock    sync.Mutex
	polls   []*poll
	version uint64        // counts changes of what is followed
	changed chan struct{} // closed at news of any kind
}

func newFeed(r *registry, op, name string) *feed {
	return &feed{registry: r, op: op, name: name, changed: make(chan struct{})}
}

// ask adds what to follow. The answers are taken over under the feed's lock.
func (f *feed) ask(queries ...query) {
	for _, ask := range queries {
		f.polls = append(f.polls, newPoll(f.registry, ask, &f.lock, f.news))
	}
}

func (f *feed) start() {
	ctx, end := context.WithCancel(context.Background())
	f.end = end
	for _, p := range f.polls {
		f.registry.group.Go(ctx, p.run)
	}
}

// news wakes all who watch; the lock is held.
func (f *feed) news(changed bool) {
	if changed {
		f.version++
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// read makes the feed what Consul holds after the call was made, within the engine's time.
func (f *feed) read(ctx context.Context) error {
	if err := f.registry.connection.open(); err != nil {
		return f.fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.registry.config.Timeout)
	defer cancel()
	start := time.Now()
	numbers := make([]uint64, len(f.polls))
	for i, p := range f.polls {
		numbers[i] = p.want()
	}
	for i, p := range f.polls {
		if err := f.await(ctx, p, numbers[i]); err != nil {
			return f.fail(f.registry.explain(err, time.Since(start)))
		}
	}
	return nil
}

// await waits for a read of one poll.
func (f *feed) await(ctx context.Context, p *poll, number uint64) error {
	for {
		f.lock.Lock()
		changed := f.changed
		f.lock.Unlock()
		if done, err := p.outcome(number); done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// state gives the version, a channel that is closed when there is news, and why the feed does not follow.
func (f *feed) state() (version uint64, changed <-chan struct{}, broken error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	for _, p := range f.polls {
		if p.broken != nil {
			return f.version, f.changed, f.fail(p.broken)
		}
	}
	return f.version, f.changed, nil
}

func (f *feed) disrupt(why error) {
	for _, p := range f.polls {
		p.disrupt(why)
	}
}

func (f *feed) fail(err error) error { return f.registry.fail(f.op, f.name, err) }

// feeds are those of a registry that are watched.
type feeds struct {
	registry *registry
	lock     sync.Mutex
	byKey    map[string]any // what the feeds follow
	live     map[*feed]bool
	pulse    sync.Once
}

func newFeeds(r *registry) *feeds {
	return &feeds{registry: r, byKey: map[string]any{}, live: map[*feed]bool{}}
}

// acquire gives what is followed under a key, made if need be; the release of its feed follows.
func acquire[T interface{ follows() *feed }](s *feeds, key string, make func() T) T {
	s.lock.Lock()
	defer s.lock.Unlock()
	what, known := s.byKey[key].(T)
	if !known {
		what = make()
		f := what.follows()
		f.key = key
		s.byKey[key], s.live[f] = what, true
		f.start()
	}
	what.follows().watches++
	s.pulse.Do(func() { s.registry.group.Go(context.Background(), s.beat) })
	return what
}

func (s *feeds) release(f *feed) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if f.watches--; f.watches == 0 {
		delete(s.byKey, f.key)
		delete(s.live, f)
		f.end()
	}
}

// pulseInterval is how often Consul is asked whether it is there, while something is watched: a blocking query
// cannot tell silence from an outage.
const pulseInterval = 3 * time.Second

func (s *feeds) beat(ctx context.Context) {
	ticker := time.NewTicker(pulseInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		all := s.all()
		if len(all) == 0 {
			continue
		}
		err := s.registry.reach(ctx)
		for _, f := range all {
			if err != nil && ctx.Err() == nil {
				f.disrupt(err)
			}
		}
	}
}

func (s *feeds) all() []*feed {
	s.lock.Lock()
	defer s.lock.Unlock()
	var all []*feed
	for f := range s.live {
		all = append(all, f)
	}
	return all
}

// reach asks for a key, as a read would.
func (r *registry) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(r.config.Timeout, 2*pulseInterval))
	defer cancel()
	_, err := call(ctx, r, "reach", "", func(ctx context.Context, client *client) (any, error) {
		return read(client, r.keys.values+"%", r.reading(ctx))
	})
	if errors.Is(err, discovery.ErrDenied) {
		return nil // it is there, and says so
	}
	return err
}
