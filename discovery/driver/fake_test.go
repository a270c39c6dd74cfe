package driver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/layout"
)

var errAway = discovery.Mark(discovery.ErrUnavailable, errors.New("it is away"))

// fake is an engine that does what a test says.
type fake struct {
	lock    sync.Mutex
	err     error // of every step
	pingErr error
	items   map[string]Item
	writes  int64
	reads   int // by sources
	sources map[*fakeSource]bool

	lease    *fakeLease
	held     *fakeLock
	owner    *fakeLock
	released chan struct{}
}

func newFake() *fake {
	return &fake{items: map[string]Item{}, sources: map[*fakeSource]bool{}, lease: &fakeLease{ttl: 9 * time.Second}, released: make(chan struct{})}
}

// registryOf opens a registry of a fake until the end of the test.
func registryOf(t *testing.T, f *fake, pace time.Duration) *Registry {
	t.Helper()
	config := discovery.Config{Timeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	r := Open(config, layout.Native("x"), f, pace)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func (f *fake) locked(do func()) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.err == nil {
		do()
	}
	return f.err
}

func (f *fake) setErr(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.err = err
}

// breakWatches ends what sources wait for.
func (f *fake) breakWatches(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	for s := range f.sources {
		select {
		case s.broken <- err:
		default:
		}
	}
}

// write changes a key; nil removes it.
func (f *fake) write(key string, value []byte) {
	f.writes++
	item := Item{Key: key, Value: value, Version: Version{f.writes}, Gone: value == nil}
	if f.items[key] = item; item.Gone {
		delete(f.items, key)
	}
	for s := range f.sources {
		if key == s.key || strings.HasSuffix(s.key, "/") && strings.HasPrefix(key, s.key) {
			s.changes <- Changes{Items: []Item{item}, Revision: "r"}
		}
	}
}

func (f *fake) set(t *testing.T, instances ...discovery.Instance) {
	t.Helper()
	for _, in := range instances {
		records, err := layout.Native("x").Encode(in)
		require.NoError(t, err)
		f.lock.Lock()
		f.write(records[0].Key, records[0].Value)
		f.lock.Unlock()
	}
}

func (f *fake) whole(key string) Changes {
	c := Changes{Whole: true, Revision: "w"}
	for one, item := range f.items {
		if one == key || strings.HasSuffix(key, "/") && strings.HasPrefix(one, key) {
			c.Items = append(c.Items, item)
		}
	}
	return c
}

func (f *fake) Get(_ context.Context, key string, _ bool) (item Item, err error) {
	err = f.locked(func() {
		var there bool
		if item, there = f.items[key]; !there {
			item = Item{Key: key, Gone: true}
		}
	})
	return item, err
}

func (f *fake) List(_ context.Context, prefix string) (c Changes, err error) {
	err = f.locked(func() { c = f.whole(prefix) })
	return c, err
}

func (f *fake) Keys(_ context.Context, prefix string) (keys []string, err error) {
	err = f.locked(func() {
		for _, item := range f.whole(prefix).Items {
			keys = append(keys, item.Key)
		}
	})
	return keys, err
}

func (f *fake) Put(_ context.Context, key string, value []byte, _ time.Duration) error {
	return f.locked(func() { f.write(key, value) })
}

func (f *fake) Swap(_ context.Context, was Item, value []byte) (swapped bool, err error) {
	err = f.locked(func() {
		if swapped = f.items[was.Key].Version == was.Version; swapped {
			f.write(was.Key, value)
		}
	})
	return swapped, err
}

func (f *fake) Delete(_ context.Context, key string) (found bool, err error) {
	err = f.locked(func() {
		if _, found = f.items[key]; found {
			f.write(key, nil)
		}
	})
	return found, err
}

func (f *fake) Ping(context.Context) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.pingErr
}

func (f *fake) Hint(error) string { return "a hint" }
func (f *fake) Close() error      { return nil }

func (f *fake) NewLease(discovery.Instance, time.Duration) Lease { return f.lease }

// fakeSource is subscribed between Read and Close.
type fakeSource struct {
	*fake
	key     string
	changes chan Changes
	broken  chan error
}

func (f *fake) Follow(key string) Source {
	return &fakeSource{fake: f, key: key, changes: make(chan Changes, 1000), broken: make(chan error, 1)}
}

func (s *fakeSource) Read(context.Context) (c Changes, err error) {
	s.lock.Lock()
	s.reads++
	s.lock.Unlock()
	time.Sleep(time.Millisecond)
	err = s.locked(func() {
		s.sources[s] = true
		for len(s.changes) > 0 {
			<-s.changes
		}
		c = s.whole(s.key)
		if len(c.Items) == 0 && !strings.HasSuffix(s.key, "/") {
			c.Items = []Item{{Key: s.key, Gone: true}}
		}
	})
	return c, err
}

func (s *fakeSource) Next(ctx context.Context) (Changes, error) {
	select {
	case c := <-s.changes:
		return c, nil
	case err := <-s.broken:
		return Changes{}, err
	case <-ctx.Done():
		return Changes{}, ctx.Err()
	}
}

func (s *fakeSource) Close() {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.sources, s)
}

// fakeLease notes what is done with it, and answers as it is told.
type fakeLease struct {
	ttl  time.Duration
	lost chan struct{}

	lock    sync.Mutex
	answers map[string]error
	steps   []string
	at      []time.Time
	record  Record
	stands  []byte // what others made of the record
	mute    int    // updates that are not answered
}

func (l *fakeLease) step(name string) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.steps, l.at = append(l.steps, name), append(l.at, time.Now())
	return l.answers[name]
}

func (l *fakeLease) answer(name string, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.answers == nil {
		l.answers = map[string]error{}
	}
	l.answers[name] = err
}

// taken gives the steps since the last call.
func (l *fakeLease) taken() []string {
	l.lock.Lock()
	defer l.lock.Unlock()
	steps := l.steps
	l.steps, l.at = nil, nil
	return steps
}

func (l *fakeLease) Register(_ context.Context, record Record, takeOver bool) (Grant, error) {
	name := "register"
	if takeOver {
		name = "take over"
	}
	l.record = record
	return Grant{TTL: l.ttl}, l.step(name)
}

func (l *fakeLease) Renew(context.Context, Record) error { return l.step("renew") }

func (l *fakeLease) Update(ctx context.Context, record Record) error {
	err := l.step("update")
	if l.mute > 0 {
		l.mute--
		<-ctx.Done()
		return discovery.Mark(discovery.ErrUnavailable, ctx.Err())
	}
	if err == nil {
		record.Value, err = record.Over(l.stands)
		l.record = record
	}
	return err
}

func (l *fakeLease) Deregister(context.Context) error { return l.step("deregister") }
func (l *fakeLease) Detach()                          { _ = l.step("detach") }
func (l *fakeLease) Lost() <-chan struct{}            { return l.lost }
