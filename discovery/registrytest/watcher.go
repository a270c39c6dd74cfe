package registrytest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/envharness/envharness/discovery"
)

// watcher reads a watch all the time and sees to what holds for every snapshot: sorted, nobody twice, and
// for no instance an older record after a newer one (the port's number grows with each Update).
type watcher struct {
	s      *suite
	cancel context.CancelFunc
	done   chan struct{}

	lock     sync.Mutex
	newest   discovery.Snapshot
	seen     int
	stale    int // how many were stale
	empty    int // how many were empty
	wrong    error
	versions map[string]int
	light    bool // nothing but the newest is looked at: hundreds of these shall not be the load
}

func (s *suite) watch(registry discovery.Registry, service string, q discovery.Query) *watcher {
	s.Helper()
	return s.startWatcher(&watcher{}, registry, service, q)
}

func (s *suite) startWatcher(w *watcher, registry discovery.Registry, service string, q discovery.Query) *watcher {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	snapshots, err := registry.Watch(ctx, service, q)
	s.noError(err)
	w.s, w.cancel, w.done, w.versions = s, cancel, make(chan struct{}), map[string]int{}
	w.take(receive(s, "first snapshot", snapshots))
	go func() {
		defer close(w.done)
		for snapshot := range snapshots {
			w.take(snapshot)
		}
	}()
	s.Cleanup(w.end)
	return w
}

// end ends the watch and judges it.
func (w *watcher) end() {
	w.cancel()
	closed(w.s, "a watch whose context ended", w.done)
	w.lock.Lock()
	defer w.lock.Unlock()
	require.NoError(w.s, w.wrong)
}

func (w *watcher) take(snapshot discovery.Snapshot) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.seen++
	if w.light {
		w.newest = snapshot
		return
	}
	if snapshot.Stale {
		w.stale++
		if fmt.Sprint(ids(snapshot)) != fmt.Sprint(ids(w.newest)) {
			w.fault("a stale snapshot is not the last known: %v after %v", ids(snapshot), ids(w.newest))
		}
	}
	if len(snapshot.Instances) == 0 {
		w.empty++
	}
	order := ids(snapshot)
	if !slices.IsSorted(order) || len(slices.Compact(slices.Clone(order))) != len(order) {
		w.fault("not sorted, or one twice: %v", order)
	}
	for _, in := range snapshot.Instances {
		if number(in) < w.versions[in.ID] {
			w.fault("%s ran backwards from %d to %d", in.ID, w.versions[in.ID], number(in))
		}
		w.versions[in.ID] = number(in)
	}
	w.newest = snapshot
}

func (w *watcher) fault(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

// counts gives how many snapshots came, and how many of them were stale and empty.
func (w *watcher) counts() (seen, stale, empty int) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.seen, w.stale, w.empty
}

// holds checks that the newest snapshot is fresh and has exactly these instances.
func (w *watcher) holds(want ...string) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	slices.Sort(want)
	if got := ids(w.newest); w.newest.Stale || !slices.Equal(got, want) {
		return fmt.Errorf("a watch holds %d, stale %v: %.300v; it should hold %d: %.300v", len(got), w.newest.Stale, got, len(want), want)
	}
	return nil
}

// holdsNumber checks that every instance of the newest snapshot has been updated to this number.
func (w *watcher) holdsNumber(want int) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, in := range w.newest.Instances {
		if number(in) != want {
			return fmt.Errorf("a watch holds %s at %d, which has been updated to %d", in.ID, number(in), want)
		}
	}
	return nil
}

// await waits until the watch holds exactly these.
func (w *watcher) await(want ...string) {
	w.s.Helper()
	w.s.eventually(func() error { return w.holds(want...) })
}

// awaitStale waits until the watch tells of an outage.
func (w *watcher) awaitStale() {
	w.s.Helper()
	w.s.eventually(func() error {
		w.lock.Lock()
		defer w.lock.Unlock()
		if !w.newest.Stale {
			return fmt.Errorf("the watch did not tell of the outage")
		}
		return nil
	})
}
